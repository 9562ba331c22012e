"""The HTTP application: the OpenAI-compatible API and the web pages."""
