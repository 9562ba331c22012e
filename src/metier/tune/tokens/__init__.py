"""From examples to token ids and the mask of what is supervised."""
