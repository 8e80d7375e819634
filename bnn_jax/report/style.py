"""The look of the page: its frame and its style sheet."""

import string

PAGE = string.Template('''\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
$style</style>
</head>
<body>
$body
</body>
</html>
''')

SHEET = '''\
:root {
  --paper: #fff; --ink: #1b1f24; --muted: #626b76; --rule: #dfe3e8;
  --soft: #f6f7f9; --first: #1f6feb; --second: #d9580d; --third: #8a939e;
  --good: 31 111 235; --bad: 217 88 13;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --ink: #e4e8ec; --muted: #98a2ad; --rule: #2d333b;
    --soft: #1c2127; --first: #6cb0ff; --second: #ff9a52; --third: #7d8791;
    --good: 79 157 255; --bad: 255 138 61;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 76rem; padding: 2rem 1.25rem 4rem;
  background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto,
    "Liberation Sans", sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; }
h2 {
  margin: 3rem 0 .75rem; padding-top: .75rem; font-size: 1.2rem;
  border-top: 1px solid var(--rule);
}
h3 { margin: 1.5rem 0 .4rem; font-size: 1rem; }
p { margin: .25rem 0 .75rem; max-width: 46rem; }
.lead, .hint, figcaption small { color: var(--muted); }
.hint { font-size: .87rem; }
.notice {
  max-width: none; margin: 1.5rem 0; padding: .75rem 1rem;
  background: var(--soft); border-left: 3px solid var(--second);
}
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin: .9rem 0; }
a { color: var(--first); text-decoration: none; }
a:hover { text-decoration: underline; }
code, .layers td:first-child {
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono",
    monospace;
  font-size: .86em; overflow-wrap: anywhere;
}
.cards {
  display: flex; flex-wrap: wrap; gap: 1px; margin: 1.5rem 0;
  background: var(--rule); border: 1px solid var(--rule);
}
.card { flex: 1 1 15rem; padding: .9rem 1.1rem; background: var(--paper); }
.card b {
  display: block; font-size: 1.6rem; font-weight: 600; line-height: 1.3;
  letter-spacing: -.01em; white-space: nowrap;
}
.card span { font-size: .87rem; font-weight: 600; }
.card small { display: block; color: var(--muted); font-size: .82rem; }
.scroll { overflow-x: auto; margin-bottom: .75rem; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .28rem .7rem; text-align: right; white-space: nowrap; }
th.text, td.text { text-align: left; }
th:first-child, td:first-child { padding-left: .1rem; }
thead th {
  vertical-align: bottom; color: var(--muted); font-weight: 600;
  font-size: .82rem; border-bottom: 1px solid var(--ink);
}
tbody td { border-bottom: 1px solid var(--rule); }
tfoot td { font-weight: 600; }
.good { background: rgb(var(--good) / calc(var(--share) * .6)); }
.bad { background: rgb(var(--bad) / calc(var(--share) * .6)); }
.confusion { font-size: .8rem; }
.confusion th, .confusion td { padding: .2rem .25rem; min-width: 2.1rem; }
.confusion thead th.number {
  writing-mode: vertical-rl; transform: rotate(180deg); min-width: 0;
  text-align: left; border: 0; padding: .35rem .2rem;
}
.confusion thead th.text { border: 0; }
.confusion tbody td { border: 1px solid var(--paper); text-align: center; }
.confusion tbody td.text { text-align: right; padding-right: .6rem; }
.confusion tbody td:last-child { padding-left: .6rem; font-weight: 600; }
.pair, .plots { display: grid; gap: 1.25rem 2rem; align-items: start; }
.pair {
  grid-template-columns: repeat(auto-fit, minmax(min(34rem, 100%), 1fr));
}
.plots {
  grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr));
}
.pair > *, .plots > * { min-width: 0; }
figure { margin: 0; }
figcaption { font-weight: 600; font-size: .9rem; }
figcaption small { font-weight: 400; }
svg { display: block; width: 100%; height: auto; }
svg text { font-family: inherit !important; }
.wide { overflow-x: auto; }
.wide svg { min-width: 40rem; }
.facts { margin: 0; }
.facts > div { display: flex; gap: .25rem 1rem; padding: .1rem 0; }
.facts dt { flex: 0 0 11.5rem; color: var(--muted); overflow-wrap: anywhere; }
.facts dd { margin: 0; min-width: 0; }
.config { columns: 24rem; column-gap: 2.5rem; font-size: .9rem; }
.config > .facts > div:has(> dd > .facts) {
  display: block; break-inside: avoid; margin-bottom: 1rem;
}
.config > .facts > div:has(> dd > .facts) > dt {
  color: var(--ink); font-weight: 600; border-bottom: 1px solid var(--rule);
}
.config .facts dt { flex-basis: 13.5rem; }
.config .facts .facts .facts dt { flex-basis: 8rem; }
footer { margin-top: 3rem; color: var(--muted); font-size: .87rem; }
@media (max-width: 34rem) {
  body { padding: 1.25rem 1rem 3rem; }
  .card { flex-basis: 40%; padding: .7rem .8rem; }
  .card b { font-size: 1.25rem; }
  .facts dt, .config .facts dt { flex-basis: 8.5rem; }
}
@media print {
  @page { margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  nav { display: none; }
  h2, h3 { break-after: avoid; }
  figure, tr, .card, .confusion { break-inside: avoid; }
  tfoot { display: table-row-group; }
  .scroll, .wide { overflow: visible; }
}
'''
