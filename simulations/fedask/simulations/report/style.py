"""The report's style sheet: two colour schemes, phone width, print. Used by the page.

Inline text, because the page may load nothing, not even a file beside it.
"""

from fedask.simulations.report.palette import DARK, LIGHT


def _hues(colours: tuple[str, ...]) -> str:
    return "".join(f"--h{index}:{colour};" for index, colour in enumerate(colours))


_PAPER = (
    "--paper:#fff;--card:#f5f7f9;--ink:#1b2026;--soft:#565f69;--rule:#dde2e7;"
    "--heat:0 104 168;--warn:#fff3d6;--shade:#0000001f;" + _hues(LIGHT)
)
_NIGHT = (
    "--paper:#14181c;--card:#1c2228;--ink:#e9edf1;--soft:#a8b1bb;--rule:#333c45;"
    "--heat:98 182 242;--warn:#3b3117;--shade:#000000a0;" + _hues(DARK)
)
_HUE_CLASSES = "".join(f".h{i}{{--hue:var(--h{i})}}" for i in range(len(LIGHT)))

_RULES = """
*{box-sizing:border-box}
html{background:var(--paper);color:var(--ink);
  font:1rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;
  -webkit-text-size-adjust:100%}
body{max-width:1040px;margin:0 auto;padding:40px 24px 64px}
h1,h2,h3,p,table{margin:0}
h1{font-size:1rem;font-weight:600;color:var(--soft);overflow-wrap:anywhere}
.headline{font-size:1.85rem;line-height:1.25;font-weight:650;letter-spacing:-.012em;
  margin:12px 0 16px;max-width:34em;text-wrap:balance;overflow-wrap:anywhere}
.others{margin:0 0 12px;padding-left:1.2em}
.facts,.quiet{color:var(--soft)}
.warning{background:var(--warn);border-radius:8px;padding:10px 16px;margin:0 0 20px}
.intro{max-width:46em;margin-top:12px}
section{margin-top:56px}
h2{font-size:1.3rem;line-height:1.3;margin-bottom:8px}
h3{font-size:1rem;margin:28px 0 6px}
section>p{max-width:46em;margin-bottom:14px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:6px 20px;margin:16px 0}
dt{font-weight:600}dd{margin:0;color:var(--soft)}
code{font:.88em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;
  overflow-wrap:anywhere}
pre{background:var(--card);border-radius:8px;padding:12px 16px;white-space:pre-wrap;
  margin:0 0 20px}
.scroll{overflow-x:auto;margin:16px 0;background:
  linear-gradient(to right,var(--paper) 40%,transparent),
  linear-gradient(to left,var(--paper) 40%,transparent) 100% 0,
  linear-gradient(to right,var(--shade),transparent),
  linear-gradient(to left,var(--shade),transparent) 100% 0;
  background-size:36px 100%,36px 100%,10px 100%,10px 100%;
  background-repeat:no-repeat;background-attachment:local,local,scroll,scroll}
.scroll:focus-visible{outline:2px solid var(--h1);outline-offset:3px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);font-size:.9rem;padding-bottom:8px;
  line-height:1.45}
caption span{display:inline-block;position:sticky;left:0;
  max-width:min(100%,calc(100vw - 32px))}
caption b{color:var(--ink);font-size:1rem}
th,td{padding:7px 12px;text-align:right;white-space:nowrap;
  border-bottom:1px solid var(--rule)}
th:first-child,td:first-child{text-align:left;padding-left:0}
thead th{font-size:.84rem;font-weight:600;color:var(--soft);vertical-align:bottom;
  white-space:normal;text-wrap:balance;line-height:1.3;min-width:5.6em}
tbody th{font-weight:500}
td small,th small{display:block;color:var(--soft);font-size:.8rem;font-weight:400}
tr.best>*{background:var(--card);font-weight:650}
.text{max-width:34rem}.text.arms{max-width:none}
details{margin:16px 0}
summary{cursor:pointer;font-weight:600;padding:4px 0}
.text td{text-align:left;white-space:normal;overflow-wrap:anywhere}
.text th{white-space:normal;overflow-wrap:anywhere}
.pairs{display:grid;gap:8px 40px;
  grid-template-columns:repeat(auto-fill,minmax(min(100%,17rem),1fr))}
.heats{display:grid;gap:24px 40px;
  grid-template-columns:repeat(auto-fill,minmax(min(100%,27rem),1fr))}
.heats .scroll{margin:0}
.heat{width:auto}
.heat th,.heat td,.heat thead th{padding:3px 7px;
  font-size:.84rem;border:0;min-width:2.3em}
.heat td{background:rgb(var(--heat)/var(--a,0));border:1px solid var(--paper);
  text-align:center}
.heat .zero{color:var(--soft)}
.heat .sum{background:none;font-weight:600;text-align:right}
.heat tbody th{font-weight:400}
.heat th:first-child{text-align:left;padding-left:0}
.heat.long thead th:not(:first-child):not(:last-child){writing-mode:vertical-rl;
  transform:rotate(180deg);text-align:left;padding:4px 2px;max-height:11em;
  min-width:0;margin:auto}
figure{margin:20px 0}
figure>svg{display:block;width:100%;height:auto;overflow:visible}
svg text{fill:var(--soft);font-size:13px}
.line{fill:none;stroke:var(--hue);stroke-width:2.4;stroke-linejoin:round}
.band{fill:var(--hue);opacity:.15}
.dot{fill:var(--hue)}.reach{fill:transparent}
.rule{stroke:var(--rule);fill:none}
.goal{stroke:var(--soft);stroke-dasharray:5 4;fill:none}
.drop{stroke:var(--hue);stroke-width:1.3;stroke-dasharray:1 3;fill:none}
.mark{fill:var(--paper);stroke:var(--hue);stroke-width:2.6}
svg .note,svg .name{fill:var(--hue);font-weight:600}
svg .halo{paint-order:stroke;stroke:var(--paper);stroke-width:4px}
.end{text-anchor:end}.middle{text-anchor:middle}
.narrow,.legend{display:none!important}
.swatch{width:26px;height:10px;margin-right:8px;vertical-align:middle}
.legend{list-style:none;margin:0;padding:0}
footer{margin-top:56px;color:var(--soft);font-size:.9rem}
@media (max-width:640px){
  body{padding:24px 16px 48px}
  .headline{font-size:1.4rem}
  section{margin-top:40px}
  dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:10px}
  .wide{display:none!important}.narrow{display:block!important}
  .legend{display:flex!important;flex-wrap:wrap;gap:4px 20px;font-size:.9rem}
  th,td{padding:6px 7px;font-size:.9rem}
  tbody th .swatch{display:none}
}
@media print{
  html{font-size:11px}
  body{padding:0;max-width:none}
  .scroll{overflow:visible}
  section{margin-top:28px}
  .scroll{background:none}
  figure,pre,tr,.heats>*,.pairs>*{break-inside:avoid}
  h2,h3,caption{break-after:avoid}
  *{-webkit-print-color-adjust:exact;print-color-adjust:exact}
}
"""

STYLE = (
    f":root{{color-scheme:light dark;{_PAPER}}}"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_NIGHT}}}}}"
    f"{_HUE_CLASSES}{_RULES}"
)
