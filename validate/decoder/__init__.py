"""Making a mesh of a field: what it costs beside diffusers' `decode_to_mesh`, and whether anything is missed."""
