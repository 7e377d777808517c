"""LaTeX of the document to one line of Unicode, for terminals and for labels of drawings.

Only what the document itself writes is known: letters with accents, subscripts, fractions, roots, sums, braces.
"""

from __future__ import annotations

import re

_WORDS = {
    "sigma": "σ", "tau": "τ", "mu": "μ", "gamma": "γ", "beta": "β", "rho": "ρ", "nu": "ν", "eta": "η", "alpha": "α",
    "delta": "δ", "Delta": "Δ", "pi": "π", "varpi": "ϖ", "psi": "ψ", "varepsilon": "ε", "epsilon": "ε", "ell": "ℓ",
    "theta": "θ", "kappa": "κ", "lambda": "λ", "xi": "ξ", "phi": "φ", "chi": "χ", "omega": "ω", "zeta": "ζ",
    "Gamma": "Γ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
    "sum": "Σ", "prod": "Π", "odot": "⊙", "cdot": "·", "times": "×", "le": "≤", "ge": "≥", "in": "∈", "top": "ᵀ",
    "partial": "∂", "dots": "…", "cdots": "⋯", "vdots": "⋮", "leftarrow": "←", "to": "→", "mapsto": "↦", "infty": "∞",
    "approx": "≈", "ne": "≠", "lVert": "‖", "rVert": "‖", "quad": "  ", "qquad": "   ", "tanh": "tanh", "exp": "exp",
    "log": "log", "sin": "sin", "cos": "cos", "max": "max", "min": "min", "prime": "′", "nabla": "∇", "pm": "±",
    "Rightarrow": "⇒", "ni": "∋", "left": "", "right": "", "bigl": "", "bigr": "", "Bigl": "", "Bigr": "",
    "lfloor": "⌊", "rfloor": "⌋", "displaystyle": "", "limits": "",
}  # fmt: skip
_ACCENTS = {
    "bar": "\u0304",
    "dot": "\u0307",
    "tilde": "\u0303",
    "hat": "\u0302",
    "widehat": "\u0302",
    "overline": "\u0304",
    "overleftarrow": "\u20d6",
}
_KEEP = ("mathrm", "mathbf", "operatorname", "text", "boldsymbol", "bm", "mathit")
_TOKEN = re.compile(r"\\([a-zA-Z]+|.)|([{}_^&])|(\s+)|(.)", re.DOTALL)
_SUPER = {"2": "²", "3": "³", "-1": "⁻¹", "ᵀ": "ᵀ", "′": "′"}


def unicode(latex: str) -> str:
    """One line of text."""
    found, rest = _group(_TOKEN.findall(latex), stop=False)
    assert not rest
    return re.sub(r" {3,}", "   ", found.replace("- ", "- ")).strip()


Token = tuple[str, str, str, str]


def _group(tokens: list[Token], stop: bool) -> tuple[str, list[Token]]:
    """Text up to the brace that closes the group, and what follows."""
    out = ""
    while tokens:
        command, mark, space, letter = tokens[0]
        if mark == "}":
            if stop:
                return out, tokens[1:]
            tokens = tokens[1:]
        elif mark in ("_", "^") and mark:
            inside, tokens = _argument(tokens[1:])
            out += _script(mark, inside)
        elif mark == "{":
            inside, tokens = _group(tokens[1:], stop=True)
            out += inside
        elif mark == "&":
            tokens = tokens[1:]
        elif command:
            piece, tokens = _command(command, tokens[1:])
            out += piece
        else:
            out += " " if space else letter
            tokens = tokens[1:]
    return out, []


def _script(mark: str, inside: str) -> str:
    if mark == "^":
        bare = inside.replace("⊙ ", "").strip()
        return _SUPER.get(bare, f"^{bare}" if len(bare) == 1 else f"^({bare})")
    return f"_{inside}" if len(inside) == 1 else f"_{{{inside}}}"


def _argument(tokens: list[Token]) -> tuple[str, list[Token]]:
    while tokens and tokens[0][2]:
        tokens = tokens[1:]
    if not tokens:
        return "", []
    command, mark, _, letter = tokens[0]
    if mark == "{":
        return _group(tokens[1:], stop=True)
    if command:
        return _command(command, tokens[1:])
    return letter or mark, tokens[1:]


def _command(name: str, tokens: list[Token]) -> tuple[str, list[Token]]:
    if name in _ACCENTS:
        inside, tokens = _argument(tokens)
        return inside[:1] + (_ACCENTS[name] if inside else "") + inside[1:], tokens
    if name in _KEEP:
        return _argument(tokens)
    if name in ("frac", "tfrac", "dfrac"):
        above, tokens = _argument(tokens)
        below, tokens = _argument(tokens)
        return f"{_closed(above)}/{_closed(below)}", tokens
    if name == "sqrt":
        inside, tokens = _argument(tokens)
        return f"√({inside})", tokens
    if name == "underbrace":
        inside, tokens = _argument(tokens)
        if tokens and tokens[0][1] == "_":
            _, tokens = _argument(tokens[1:])
        return inside, tokens
    if name in ("begin", "end"):
        _, tokens = _argument(tokens)
        return "(" if name == "begin" else ")", tokens
    if name == "\\":
        return "; ", tokens
    return _WORDS.get(name, "" if name in "!" else " " if name in ",;: " else name), tokens


def _closed(text: str) -> str:
    return text if re.fullmatch(r"[^\s+\-/]+", text) else f"({text})"
