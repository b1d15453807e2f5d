"""HTML as a person sees it: what sheets and colours hide is not there, and lines, lists and tables are."""

from __future__ import annotations

import time

import pytest

from adapters.proton_mail import Mail, MailLimits
from adapters.proton_mail.parse import parse
from adapters.proton_mail.parse_style import look_of
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
        "<p style='position:absolute;left:9999px'>SECRET</p>",
        "<p style='position:absolute;left:calc(-1 * 9999px)'>SECRET</p>",
        "<p style='position:absolute;left:calc(50% - 9999px)'>SECRET</p>",
        "<p style='position:absolute;left:-9.9e3px'>SECRET</p>",
        "<p style='left:-99em;position:absolute'>SECRET</p>",
        "<p style='position:absolute;right:200vw'>SECRET</p>",
        "<p style='position:absolute;inset:-9999px auto auto -9999px'>SECRET</p>",
        "<p style='text-indent:-99em'>SECRET</p>",
        "<p style='transform:translateX(-9999px)'>SECRET</p>",
        "<p style='transform:rotate(1deg) translate(-9999px, 0)'>SECRET</p>",
        "<p style='transform:matrix(1, 0, 0, 1, -9999, 0)'>SECRET</p>",
        "<p style='translate:9999px'>SECRET</p>",
        "<p style='-webkit-transform:translate3d(-120em, 0, 0)'>SECRET</p>",
        "<p style='margin:-9999px 0 0 -9999px'>SECRET</p>",
        "<p style='margin:0 0 0 -9999px'>SECRET</p>",
        "<p style='margin-left:9999px'>SECRET</p>",
        "<p style='color:rgb(0 0 0 / 0)'>SECRET</p>",
        "<p style='color:rgb(0 0 0 / 0%)'>SECRET</p>",
        "<p style='color:hsla(0, 0%, 0%, 0)'>SECRET</p>",
        "<p style='color:rgb(0, 0, 0, .0)'>SECRET</p>",
        "<p style='color:#00000000'>SECRET</p>",
        "<p style='color:#0000'>SECRET</p>",
        "<style>.x{color:#12345600}</style><p class=x>SECRET</p>",
        "<p style='opacity:0e0'>SECRET</p>",
        "<p style='opacity:calc(0)'>SECRET</p>",
        "<p style='opacity:-1'>SECRET</p>",
        "<p style='filter:blur(0) opacity(0)'>SECRET</p>",
        "<p style='filter:opacity(0%)'>SECRET</p>",
        "<p style='font-size:calc(0px)'>SECRET</p>",
        "<p style='font-size:calc(14px * 0)'>SECRET</p>",
        "<p style='font-size:0vw'>SECRET</p>",
        "<p style='max-height:0%;overflow:auto'>SECRET</p>",
        "<p style='height:0;min-height:0;overflow-y:scroll'>SECRET</p>",
        "<p style='height:0em;overflow:hidden'>SECRET</p>",
        "<p style='height:.1px;overflow:hidden'>SECRET</p>",
        "<details>SECRET<p>SECRET</p></details>",
        "<details><details open>SECRET<p hidden>SECRET</details></details>",
        "<details hidden><summary>SECRET</summary></details>",
        "<dialog>SECRET</dialog>",
        "<datalist><option>SECRET</datalist>",
        "<noframes>SECRET</noframes>",
        "<noembed>SECRET</noembed>",
        "<ruby><rp>SECRET</rp></ruby>",
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
        "<p style='margin:-8px'>Where is my order?</p>",
        "<p style='margin:0 -20px'>Where is my order?</p>",
        "<p style='margin:0 0 0 -50vw'>Where is my order?</p>",
        "<p style='margin:0 0 2000px'>Where is my order?</p>",
        "<p style='margin-left:-16px'>Where is my order?</p>",
        "<p style='margin-left:auto;margin-right:auto'>Where is my order?</p>",
        "<p style='margin-left:calc(50% - 50vw)'>Where is my order?</p>",
        "<p style='margin-left:-1.5em'>Where is my order?</p>",
        "<p style='text-indent:-2em;padding-left:2em'>Where is my order?</p>",
        "<p style='position:absolute;left:10px'>Where is my order?</p>",
        "<p style='position:absolute;left:1050px;top:2400px'>Where is my order?</p>",
        "<p style='position:relative;left:50%'>Where is my order?</p>",
        "<p style='position:relative;left:calc(-100px + 100px)'>Where is my order?</p>",
        "<p style='transform:translate(2px)'>Where is my order?</p>",
        "<p style='transform:translate(-50%, -50%)'>Where is my order?</p>",
        "<p style='transform:rotate(-3600deg)'>Where is my order?</p>",
        "<p style='transform:perspective(4000px) translate(0, 8px)'>Where is my order?</p>",
        "<p style='opacity:.9'>Where is my order?</p>",
        "<p style='opacity:1e0'>Where is my order?</p>",
        "<p style='opacity:calc(1)'>Where is my order?</p>",
        "<p style='filter:opacity(.9)'>Where is my order?</p>",
        "<p style='filter:opacity(90%)'>Where is my order?</p>",
        "<p style='color:rgb(0, 0, 0)'>Where is my order?</p>",
        "<p style='color:rgba(0, 0, 0)'>Where is my order?</p>",
        "<p style='color:rgb(0 0 0 / 1)'>Where is my order?</p>",
        "<p style='color:rgba(0, 0, 0, .87)'>Where is my order?</p>",
        "<p style='color:rgb(0 0 0 / 60%)'>Where is my order?</p>",
        "<p style='color:#000000ff'>Where is my order?</p>",
        "<p style='color:#100'>Where is my order?</p>",
        "<p style='color:#1e3000'>Where is my order?</p>",
        "<p style='font-size:8px'>Where is my order?</p>",
        "<p style='font-size:calc(14px)'>Where is my order?</p>",
        "<p style='font-size:calc(0px + 1em)'>Where is my order?</p>",
        "<p style='font-size:1.2e1px'>Where is my order?</p>",
        "<p style='height:40px;overflow:auto'>Where is my order?</p>",
        "<p style='width:0;min-width:100%;overflow-x:auto'>Where is my order?</p>",
        "<p style='height:0;min-height:100%;overflow:auto'>Where is my order?</p>",
        "<p style='max-height:10em;overflow:hidden'>Where is my order?</p>",
        "<details open>Where is my order?</details>",
        "<details><summary>Where is my order?</summary>SECRET<summary>SECRET</summary></details>",
        "<dialog open>Where is my order?</dialog>",
        "<ruby>Where is<rp></rp><rt> my order?</rt></ruby>",
        "<body bgcolor=black text=white>Where is my order?",
    ],
)
def test_what_a_person_at_a_desk_sees_is_kept(seen: str) -> None:
    assert shown(f"<html><body>{seen}</body></html>") == "Where is my order?"


def test_letters_are_as_white_as_the_page_they_are_on_says() -> None:
    assert (
        shown("<body text=white><p>SECRET</p><p style='color:#000'>Where is my order?")
        == "Where is my order?"
    )


@pytest.mark.parametrize(
    "style",
    [
        "left:" + "9" * 200_000,
        "opacity:" + "0" * 200_000 + "x",
        "color:rgb(" + "0," * 100_000,
        "filter:" + "opacity(00" * 20_000,
        "left:" + "calc(" * 40_000,
        "left:calc(" + "1*" * 100_000,
        "margin:" + "1e9" * 60_000,
        "transform:" + "translate(-1px," * 13_000,
        ";margin:-1px" * 16_000,
        "height:" + "0" * 100_000 + "." + "0" * 100_000 + "#;overflow:auto",
    ],
)
def test_a_long_style_is_read_in_one_pass(style: str) -> None:
    begun = time.process_time()
    look_of(style)
    assert time.process_time() - begun < 1


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
