"""What a layer holds, and what its code can reach."""
