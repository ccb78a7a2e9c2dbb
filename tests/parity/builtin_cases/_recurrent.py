"""Recurrent layers, their cells, and the wrappers over time."""

import tensorflow as tf
from tensorflow import keras

from tests.parity.builtin_cases._data import HOLES, MASK, STEPS, VECTORS, cases, normal

L = keras.layers

_STATE = normal(3)
# Among keyword arguments, Keras 2 takes lists of tensors, but not of arrays.
_TWO_STATES = [tf.constant(normal(3)), tf.constant(normal(3))]
_STACKED_STATES = tf.nest.map_structure(
    tf.constant, [[normal(4), normal(4)], [normal(2)], [normal(3)]]
)
_FILMS = normal(6, 7, 5, 2)  # time, height, width, channels
_LINES, _SOLIDS = _FILMS[:, :, :, 0], normal(6, 5, 4, 3, 2)


def _cells():
    return [L.LSTMCell(4), L.SimpleRNNCell(2, activation="relu"), L.GRUCell(3, use_bias=False)]


_CELLS = {
    "GRUCell": (lambda: L.GRUCell(3, reset_after=False), VECTORS, None, {"states": _STATE}),
    "GRUCell_dropout": (
        lambda: L.GRUCell(3, dropout=0.3, recurrent_dropout=0.2, seed=1),
        VECTORS,
        None,
        {"states": _STATE},
    ),
    "LSTMCell": (
        lambda: L.LSTMCell(3, unit_forget_bias=False, recurrent_activation="hard_sigmoid"),
        VECTORS,
        None,
        {"states": _TWO_STATES},
    ),
    "SimpleRNNCell": (
        lambda: L.SimpleRNNCell(3, activation="relu"),
        VECTORS,
        None,
        {"states": _STATE},
    ),
    "StackedRNNCells": (
        lambda: L.StackedRNNCells(_cells()),
        VECTORS,
        None,
        {"states": _STACKED_STATES},
    ),
}

_LAYERS = {
    "GRU": (
        lambda: L.GRU(3, reset_after=False, return_sequences=True, return_state=True),
        STEPS,
        None,
        {"initial_state": _STATE},
    ),
    "GRU_dropout": (lambda: L.GRU(3, dropout=0.3, recurrent_dropout=0.2, seed=1), STEPS),
    "GRU_masked": (lambda: L.GRU(3, return_sequences=True), STEPS, MASK),
    "GRU_stateful": (lambda: L.GRU(3, stateful=True), STEPS),
    "LSTM": (
        lambda: L.LSTM(3, go_backwards=True, return_state=True),
        STEPS,
        None,
        {"initial_state": _TWO_STATES},
    ),
    "LSTM_masked": (lambda: L.LSTM(3, return_sequences=True), STEPS, MASK),
    "LSTM_stateful": (lambda: L.LSTM(3, stateful=True, return_sequences=True), STEPS, HOLES),
    "LSTM_unrolled": (lambda: L.LSTM(3, unroll=True, use_bias=False), STEPS, HOLES),
    "SimpleRNN": (
        lambda: L.SimpleRNN(3, activation="relu", return_sequences=True),
        STEPS,
        None,
        {"initial_state": _STATE},
    ),
    "SimpleRNN_masked": (lambda: L.SimpleRNN(3, go_backwards=True), STEPS, HOLES),
    "RNN": (lambda: L.RNN(L.GRUCell(3), return_sequences=True, return_state=True), STEPS),
    "RNN_stacked": (lambda: L.RNN(_cells(), return_state=True), STEPS),
    "RNN_stacked_masked": (
        lambda: L.RNN(L.StackedRNNCells(_cells()), return_sequences=True),
        STEPS,
        HOLES,
    ),
    "ConvLSTM1D": (lambda: L.ConvLSTM1D(3, 2, return_sequences=True), _LINES),
    "ConvLSTM1D_masked": (lambda: L.ConvLSTM1D(3, 2, padding="same"), _LINES, MASK),
    "ConvLSTM2D": (lambda: L.ConvLSTM2D(3, (3, 2), strides=2, return_state=True), _FILMS),
    "ConvLSTM2D_dropout": (lambda: L.ConvLSTM2D(3, 2, dropout=0.3), _FILMS),
    "ConvLSTM2D_masked": (lambda: L.ConvLSTM2D(3, 2, return_sequences=True), _FILMS, HOLES),
    "ConvLSTM3D": (lambda: L.ConvLSTM3D(2, (3, 2, 1), go_backwards=True), _SOLIDS),
    "ConvLSTM3D_masked": (lambda: L.ConvLSTM3D(2, 2, return_sequences=True), _SOLIDS, MASK),
}

_WRAPPERS = {
    "Bidirectional": (
        lambda: L.Bidirectional(L.LSTM(3, return_sequences=True), merge_mode="mul"),
        STEPS,
    ),
    "Bidirectional_backward_layer": (
        lambda: L.Bidirectional(L.GRU(3), backward_layer=L.SimpleRNN(4, go_backwards=True)),
        STEPS,
    ),
    "Bidirectional_initial_state": (
        lambda: L.Bidirectional(L.GRU(3, return_state=True), merge_mode=None),
        STEPS,
        None,
        {"initial_state": _TWO_STATES},
    ),
    "Bidirectional_masked": (lambda: L.Bidirectional(L.GRU(3, return_sequences=True)), STEPS, MASK),
    "TimeDistributed": (lambda: L.TimeDistributed(L.Conv2D(3, (3, 2), strides=2)), _FILMS),
    "TimeDistributed_masked": (lambda: L.TimeDistributed(L.Dense(3, "tanh")), STEPS, HOLES),
    "TimeDistributed_normalised": (lambda: L.TimeDistributed(L.BatchNormalization()), _FILMS),
    "TimeDistributed_recurrent": (lambda: L.TimeDistributed(L.LSTM(3)), _LINES),
}

CASES = cases(_CELLS | _LAYERS | _WRAPPERS)
