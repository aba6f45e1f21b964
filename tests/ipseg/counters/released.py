"""What is known of the released checkpoints: the names and shapes of their tensors."""

import hashlib


def digest(network):
    """Of all names and shapes, one a line, sorted."""
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    lines = sorted(f"{name}\t{shape}" for name, shape in shapes.items())
    return len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()
