"""What runs a language model: this machine (``local``) or an OpenAI-compatible server."""
