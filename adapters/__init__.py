"""Wire adapters: each speaks one protocol and knows neither tenant nor database."""
