"""What a model call costs, from the price list bundled with genai-prices. Never touches the network."""

from __future__ import annotations

from decimal import Decimal

from .types import Usage


def cost_usd(provider: str, names: tuple[str, ...], base_url: str | None, usage: Usage) -> Decimal | None:
    """The price of one call in US dollars, or None if nobody knows it.

    Args: names are tried in turn: what answered ("gpt-5-2025-08-07"), then what was asked for. A base_url that the list
    knows (a reseller with own prices) counts before the provider.
    """
    if usage.input_tokens == 0 and usage.output_tokens == 0:
        return None  # the server does not count; that is no gift
    for name in dict.fromkeys(filter(None, names)):
        for url in filter(None, (base_url,)):
            if (price := _look_up(name, None, url, usage)) is not None:
                return price
        if (price := _look_up(name, provider, None, usage)) is not None:
            return price
    return None


def _look_up(name: str, provider: str | None, url: str | None, usage: Usage) -> Decimal | None:
    import genai_prices  # 0.2 s and 20 MB: only where a model is really called

    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens or None,
        cache_write_tokens=usage.cache_write_tokens or None,
    )
    try:
        if url is not None:
            return genai_prices.calc_price(counted, name, provider_api_url=url).total_price
        return genai_prices.calc_price(counted, name, provider_id=provider).total_price
    except (LookupError, ValueError):  # unknown model; counts that contradict each other
        return None
