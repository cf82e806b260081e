"""The site: it builds without a warning, and a browser without a network shows its formulas."""

from __future__ import annotations

import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.running import ROOT

NEEDED = ("sphinx", "myst_nb", "furo", "latex2mathml", "ziamath", "torch")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

_spec = importlib.util.spec_from_file_location("noiseaug_mathml", ROOT / "docs" / "_mathml.py")
mathml = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(mathml)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        pytest.skip(f"needs the extra docs and torch; missing: {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("build")
    outcome = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-E", "-q"),
            *("-d", folder / "trees", "docs", folder / "site"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")
    return folder / "site"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_site_builds_without_a_warning(site):
    math = (site / "math.html").read_text(encoding="utf-8")
    assert 'id="23-concentric-gaussians"' in math
    assert "<mi>π</mi><mo>=</mo><mi>P</mi>" in math
    home = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="math.html#' in home
    assert "phase_diagram.png" in home
    for page in site.rglob("*.html"):
        assert re.findall(r'<(?:script|link|img)[^>]*="https?:[^>]*>', page.read_text(encoding="utf-8")) == [], page


LOOK = """<script>
window.addEventListener("load", async () => {
  await document.fonts.ready;
  const sizes = [...document.querySelectorAll("math")].map(math => math.getBoundingClientRect());
  const fonts = [...document.fonts].filter(font => font.status == "loaded").map(font => font.family);
  document.querySelectorAll("pre, code").forEach(code => code.remove());
  const seen = {text: document.body.innerText, drawn: sizes.filter(box => box.width * box.height > 0).length, fonts};
  document.documentElement.setAttribute("data-seen", JSON.stringify(seen));
});
</script></body>"""


def seen(page: Path, profile: Path) -> dict:
    """What a browser without a network shows: the text without code, how many formulas are drawn, the fonts loaded."""
    copy = page.with_name(f"_{page.name}")
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", LOOK), encoding="utf-8")
    outcome = subprocess.run(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000", f"--user-data-dir={profile}"),
            *("--dump-dom", copy.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    copy.unlink()
    found = re.search(r'data-seen="([^"]*)"', outcome.stdout)
    assert found, outcome.stderr
    return json.loads(html.unescape(found[1]))


def raw_tex(text: str) -> list[str]:
    """What looks like LaTeX in a text for readers."""
    return re.findall(r"\\[(\[]|\$\$|\\[a-zA-Z]+", text)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")
def test_a_browser_shows_the_formulas(site, tmp_path):
    pages = [page for page in sorted(site.rglob("*.html")) if "<math" in page.read_text(encoding="utf-8")]
    assert {"math.html", "glossary.html", "noise_on_the_line.html"} <= {page.name for page in pages}
    for page in pages:
        shown = seen(page, tmp_path)
        assert raw_tex(shown["text"]) == [], page.name
        assert shown["drawn"] == page.read_text(encoding="utf-8").count("<math"), page.name
        assert any("STIX Two Math" in font for font in shown["fonts"]), page.name


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")
def test_a_formula_that_is_not_drawn_is_seen(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(r"<html><body>\(x\) and <code>\(y\)</code> <math><mi>z</mi></math> <math></math></body></html>")
    shown = seen(page, tmp_path / "profile")
    assert raw_tex(shown["text"]) == [r"\("]
    assert (shown["drawn"], shown["fonts"]) == (1, [])


def test_the_look_for_raw_tex_fires():
    assert raw_tex(r"so \(x\) and $$y$$, \[z\], \frac") == [r"\(", "$$", "$$", r"\[", r"\frac"]
    assert raw_tex("x ≥ 0, 5 $ (a path\\ with a space)") == []


def test_formulas_are_spaced_as_in_tex():
    pytest.importorskip("latex2mathml")
    drawn = mathml.to_mathml(r"d \ln t + \ln(t) \to -\infty", block=False)
    thin = '<mspace width="0.1667em" />'
    assert f"<mi>d</mi>{thin}<mi>ln</mi>{thin}<mi>t</mi>" in drawn
    assert '<mi>ln</mi><mo stretchy="false">(' in drawn
    assert '<mo form="prefix">−</mo><mi>∞</mi>' in drawn
    drawn = mathml.to_mathml(r"\Phi(|x|/2) \ast p", block=True)
    assert 'display="block"' in drawn
    assert '<mi mathvariant="normal">Φ</mi>' in drawn
    assert '<mo lspace="0" rspace="0">/</mo>' in drawn
    assert drawn.count('lspace="0" rspace="0">|') == 2
    assert "<mo>∗</mo>" in drawn


@pytest.mark.parametrize("formula", [r"\nosuchcommand x", r"\left( x"])
def test_formulas_that_cannot_be_drawn_are_refused(formula):
    pytest.importorskip("latex2mathml")
    with pytest.raises(ValueError, match="cannot draw"):
        mathml.to_mathml(formula, block=False)
