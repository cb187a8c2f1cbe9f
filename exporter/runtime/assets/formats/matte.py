"""What every format with materials says of the surface: neither metal nor shiny, as the model knows no more."""

METALLIC = 0.0
ROUGHNESS = 0.9
