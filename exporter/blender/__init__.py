"""A bundle as an extension of Blender. What is in `addon` runs there, with t3export's public interface alone."""
