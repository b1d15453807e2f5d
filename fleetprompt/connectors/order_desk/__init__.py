"""The order desk as tools: two that read, one that changes something and so is a directive."""
