"""What happens in the calls of a layer and of the layers in it."""
