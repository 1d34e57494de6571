"""The page's style sheet: light and dark, wide and narrow."""

STYLE = """
:root{color-scheme:light dark;--page:#fbfbfa;--card:#fff;--ink:#1f2328;
--quiet:#59636e;--rule:#e3e5e8;--grid:#eceef0;--data:#2f6fb0;--best:#d9660a;--fail:#b3261e}
@media(prefers-color-scheme:dark){:root{--page:#14171a;--card:#1b1f23;--ink:#e3e6e9;
--quiet:#9aa4ae;--rule:#30363c;--grid:#282d32;--data:#6cb0f2;--best:#ff9d4d;--fail:#f2857c}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI",Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 16px 48px}
h1{font-size:26px;line-height:1.25;margin:0;overflow-wrap:anywhere}
h2{font-size:18px;margin:36px 0 10px}
h3{font-size:14px;margin:0 0 6px;overflow-wrap:anywhere}
p{margin:6px 0}
.quiet,figcaption,caption{color:var(--quiet);font-size:13px}
dl{display:flex;flex-wrap:wrap;gap:10px 36px;margin:20px 0 24px}
dt{color:var(--quiet);font-size:13px}
dd{margin:0;font-size:22px;line-height:1.3;font-variant-numeric:tabular-nums}
.first dd{color:var(--best);font-weight:600}
.pair{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,400px),1fr));gap:16px;
align-items:start}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,236px),1fr));gap:12px;
margin-top:12px}
figure,.card{margin:0;padding:14px;background:var(--card);border:1px solid var(--rule);border-radius:8px;
min-width:0}
.card{overflow-x:auto}
svg{display:block;width:100%;height:auto}
.panels svg{max-width:340px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
caption{text-align:left;padding-bottom:6px}
th,td{padding:5px 18px 5px 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--grid)}
tr:last-child>*{border-bottom:0}
thead th{color:var(--quiet);font-weight:500;white-space:nowrap}
tbody th{font-weight:500}
.pair td,.pair tbody th{overflow-wrap:anywhere}
.wide table{width:auto}
.wide td,.wide tbody th{white-space:nowrap}
.n{text-align:right}
.pair td.n{overflow-wrap:normal;white-space:nowrap}
code,pre,.mono{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
details summary{cursor:pointer;overflow-wrap:anywhere}
pre{max-height:320px;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;margin:6px 0}
text.label{fill:var(--quiet);font-size:12px}
path{fill:none;stroke-linecap:round;stroke-linejoin:round}
.grid{stroke:var(--grid)}
.axis{stroke:var(--rule)}
.rung{stroke:var(--rule);stroke-dasharray:3 4}
.curve{stroke:var(--data);stroke-opacity:.3}
.bar{stroke-opacity:.8;stroke-width:1.6}
.dots{stroke:var(--data);stroke-width:5.5}
.small{stroke-width:3.5}
.line{stroke:var(--best);stroke-width:2}
.best.dots{stroke:var(--best);stroke-width:9}
.fail{stroke:var(--fail);stroke-width:1.3}
.legend>span{white-space:nowrap}
span[class^=k]{color:var(--data)}
.k1{opacity:.25}.k2{opacity:.38}.k3{opacity:.53}.k4{opacity:.72}.k5{opacity:.95}
@media print{figure,.card,tr{break-inside:avoid}}
"""
