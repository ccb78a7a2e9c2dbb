"""What happens in the calls of a layer, a metric or a model, and of the layers in it."""
