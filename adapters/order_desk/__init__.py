"""A small order system over HTTP: read orders, place holds once for each key."""

from adapters.order_desk.client import Hold, Order, OrderDeskClient

__all__ = ["Hold", "Order", "OrderDeskClient"]
