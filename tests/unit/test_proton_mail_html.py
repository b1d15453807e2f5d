"""HTML as a person sees it: what sheets and colours hide is not there, and lines, lists and tables are."""

from __future__ import annotations

import pytest

from adapters.proton_mail import Mail, MailLimits
from adapters.proton_mail.parse import parse
from tests.mail_stage import FLEET, mail


def shown(html: str) -> str:
    found = parse(mail(html).replace(b"text/plain", b"text/html"), (FLEET,), MailLimits())
    assert isinstance(found, Mail), found
    return found.text


@pytest.mark.parametrize(
    "hidden",
    [
        "<style>.x{color:#fff}</style><p class=x>SECRET</p>",
        "<style>#x{color:white}</style><p id=x>SECRET</p>",
        "<style>#x{font-size:0}</style><p id=x>SECRET</p>",
        "<style>.x{color:#fefefe}</style><p class=x>SECRET</p>",
        "<style>.x{color:rgb(255, 255, 255)}</style><p class=x><b>SECRET</b></p>",
        "<style>.x{-webkit-text-fill-color:white}</style><p class=x>SECRET</p>",
        "<style>.x{color:hsl(0,0%,100%)}</style><p class=x>SECRET</p>",
        "<style>.x{background:#123456;color:#123456}</style><p class=x>SECRET</p>",
        "<style>.out{background:#000}.in{color:#000}</style><div class=out><p class=in>SECRET</p></div>",
        "<style>.out{background:#000}</style><div class=out>SECRET</div>",
        '<table bgcolor="#000000"><tr><td>SECRET</td></tr></table>',
        "<style>.x{color:#fff!important}</style><p class=x style='color:#000'>SECRET</p>",
        "<style>p.x{color:#fff}.x{color:#000}</style><p class=x>SECRET</p>",
        '<div style="color:#fff"><p>SECRET</p></div>',
        "<style>@media (min-width:1px){.x{display:none}}</style><p class=x>SECRET</p>",
        "<style>@media (max-width:99999px){.x{display:none}}</style><p class=x>SECRET</p>",
        "<style>@media not print{.x{display:none}}</style><p class=x>SECRET</p>",
        "<style>@media print, screen{.x{display:none}}</style><p class=x>SECRET</p>",
        "<style>@media not (max-width:600px){.x{display:none}}</style><p class=x>SECRET</p>",
        '<style media="screen">.x{display:none}</style><p class=x>SECRET</p>',
        "<style>@supports (display:block){.x{display:none}}</style><p class=x>SECRET</p>",
        "<style>:root{--a:none}.x{display:var(--a)}</style><p class=x>SECRET</p>",
        "<style>.x:not(:hover):where(p){display:none}</style><p class=x>SECRET</p>",
        "<style>.y{color:red;& .x{display:none}}</style><div class=y><p class=x>SECRET</p></div>",
        "<style>/* open</style><style>.x{display:none}</style><p class=x>SECRET</p>",
        "<style>[data-x]{display:none}</style><p data-x>SECRET</p>",
    ],
)
def test_what_sheets_and_colours_hide_does_not_reach_the_model(hidden: str) -> None:
    assert shown(f"<html><body><p>Where is my order?</p>{hidden}</body></html>") == "Where is my order?"


@pytest.mark.parametrize(
    "seen",
    [
        "<style>.x{background:#036;color:#fff}</style><p class=x>Where is my order?</p>",
        "<style>.out{background:#036}.in{color:#fff}</style><div class=out><p class=in>Where is my order?</p></div>",
        "<style>body{background:#000;color:#fff}</style><p>Where is my order?</p>",
        "<style>.x{color:#fff}.y .x{color:#222}</style><div class=y><p class=x>Where is my order?</p></div>",
        '<div style="color:#fff"><p style="color:#333">Where is my order?</p></div>',
        '<div style="background:url(cid:night)"><p style="color:#fff">Where is my order?</p></div>',
        "<style>@media (max-width:600px){.x{display:none}}</style><p class=x>Where is my order?</p>",
        "<style>@media only screen and (max-width: 480px){.x{display:none!important}}</style><p class=x>Where is my order?</p>",
        "<style>@media (prefers-color-scheme: dark){p{color:#fff}}</style><p>Where is my order?</p>",
        '<style media="print">p{display:none}</style><p>Where is my order?</p>',
        "<style>.x{display:none}@media (max-width:600px){.x{display:block}.w{display:none}}</style>"
        "<p class=w>Where is my order?</p><p class=x></p>",
    ],
)
def test_what_a_person_at_a_desk_sees_is_kept(seen: str) -> None:
    assert shown(f"<html><body>{seen}</body></html>") == "Where is my order?"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one <b>and</b>\n two</p><p>three</p>", "one and two\n\nthree"),
        ("one<br>two<br><br>three", "one\ntwo\n\nthree"),
        ("<div>one</div><div><br></div><div>two<br></div><div>three</div>", "one\n\ntwo\nthree"),
        ("<ul><li>one<li>two</ul><ol><li>three<li><p>four</p></ol>", "* one\n* two\n\n1. three\n2. four"),
        ("<table><tr><td>1</td> <td>2</td></tr><tr><td>3</td><td>4</td></tr></table>", "1  2\n3  4"),
        ("<pre>a  b\n  c</pre>and", "a  b\n  c\n\nand"),
        ("<h1>Order</h1>1042<hr>Thanks", "Order\n\n1042\n\nThanks"),
        ("<p>one&#1;&#5;two</p>&#6;three", "one\ntwo\n\nthree"),  # marks of ours are nothing to a person
    ],
)
def test_lines_lists_and_tables_are_laid_out(html: str, text: str) -> None:
    assert shown(html) == text
