// The style sheet of all pages: light and dark, from 400 pixels on, without anything from elsewhere.

/// The style sheet.
enum StyleSheet {
  static let text = colours + frame + tables + details + charts

  private static let colours = """
    :root {
      color-scheme: light dark;
      --page: #ffffff; --text: #1c2128; --quiet: #57606a; --line: #d5dbe1; --soft: #f4f6f8;
      --link: #0b5cad; --mark: #e8eef5; --tag: #dcebfa; --tag-text: #0a4a8a;
      --warn: #fdf0d8; --warn-text: #7a4a00; --good: #e3f4e8; --good-text: #14602c;
      --added: #e6f5ea; --removed: #fdecea; --added-text: #115c2a; --removed-text: #9b1c1c;
      --c1: #b9d3ee; --c2: #cfe3c8; --c3: #f0dcb8; --c4: #e4cfe6; --c5: #c9dfe0; --c6: #e8d3cb;
      --c-text: #1c2128;
    }
    @media (prefers-color-scheme: dark) {
      :root {
        --page: #14181d; --text: #e4e9ee; --quiet: #9ba7b3; --line: #303842; --soft: #1b2127;
        --link: #74b4f2; --mark: #27303a; --tag: #17344f; --tag-text: #a9d1f7;
        --warn: #3d2f12; --warn-text: #f0c878; --good: #16331f; --good-text: #8fd9a8;
        --added: #14301e; --removed: #3c1c1c; --added-text: #8fd9a8; --removed-text: #f3a9a3;
        --c1: #27486a; --c2: #2f4a2d; --c3: #57451f; --c4: #4a3450; --c5: #24474a; --c6: #543b31;
        --c-text: #eef2f6;
      }
    }

    """

  private static let frame = """
    * { box-sizing: border-box; }
    html { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
      color: var(--text); background: var(--page); }
    body { margin: 0; min-height: 100vh; display: flex; flex-direction: column; }
    header, main, footer { width: 100%; max-width: 78rem; margin: 0 auto; padding: 0 1.25rem; }
    header { display: flex; align-items: baseline; gap: 2rem; padding-top: .9rem; padding-bottom: .7rem;
      border-bottom: 1px solid var(--line); }
    header ul { display: flex; gap: 1.25rem; list-style: none; margin: 0; padding: 0; }
    header a { text-decoration: none; color: var(--quiet); }
    header a:hover { color: var(--text); }
    header a[aria-current] { color: var(--text); font-weight: 600; }
    header .brand { color: var(--text); font-weight: 700; letter-spacing: -.01em; }
    main { flex: 1; padding-top: 1.25rem; padding-bottom: 2.5rem; min-width: 0; }
    main:focus { outline: none; }
    footer { display: flex; gap: 1.25rem; padding-top: .8rem; padding-bottom: 1.2rem; font-size: .85rem;
      color: var(--quiet); border-top: 1px solid var(--line); }
    a { color: var(--link); text-underline-offset: .15em; text-decoration-thickness: 1px; }
    :focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 2px; }
    .skip { position: absolute; left: .5rem; top: -4rem; padding: .4rem .8rem; background: var(--page);
      border: 1px solid var(--line); border-radius: 4px; }
    .skip:focus { top: .5rem; }
    .hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
    h1 { font-size: 1.5rem; line-height: 1.25; font-weight: 650; margin: 0 0 1rem; overflow-wrap: anywhere; }
    h1 small { font-size: 1rem; font-weight: 400; color: var(--quiet); }
    h2 { font-size: 1.08rem; font-weight: 650; margin: 2rem 0 .6rem; }
    h3 { font-size: .95rem; font-weight: 600; margin: 1.2rem 0 .4rem; overflow-wrap: anywhere; }
    p { margin: .5rem 0; max-width: 75ch; overflow-wrap: anywhere; }
    bdi { overflow-wrap: anywhere; }
    .lead { font-size: 1.08rem; margin-top: -.4rem; }
    .path { font-size: .9rem; margin-bottom: .25rem; }
    .path ol { display: flex; flex-wrap: wrap; list-style: none; margin: 0; padding: 0; }
    .path li::after { content: "/"; color: var(--quiet); padding: 0 .4rem; }
    .path li:last-child::after { content: ""; }
    .note { padding: .5rem .75rem; border-left: 3px solid var(--line); background: var(--soft); max-width: none; }
    .note.warning { border-color: var(--warn-text); background: var(--warn); color: var(--warn-text); }

    """

  private static let tables = """
    .scroll { overflow-x: auto; margin: 0 -.6rem; }
    table { border-collapse: collapse; width: 100%; font-size: .925rem; font-variant-numeric: tabular-nums; }
    th { font-weight: 500; font-size: .82rem; color: var(--quiet); text-align: left; white-space: nowrap;
      border-bottom: 1px solid var(--line); padding: .3rem .6rem; }
    td { padding: .38rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
    tbody tr:last-child td { border-bottom: 0; }
    tbody tr:hover { background: var(--soft); }
    .num { text-align: right; white-space: nowrap; }
    .main { width: 45%; }
    .word bdi { overflow-wrap: break-word; }
    .n, time { font-variant-numeric: tabular-nums; white-space: nowrap; }
    .sub { color: var(--quiet); font-size: .85rem; }
    .narrow { display: none; }
    code, pre, .mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
      font-size: .86rem; }
    .id { color: var(--quiet); overflow-wrap: anywhere; font-size: .8rem; }
    .command { padding: .15rem .45rem; background: var(--soft); border: 1px solid var(--line);
      border-radius: 4px; overflow-wrap: anywhere; display: inline-block; }
    .mark { display: inline-block; padding: 0 .45rem; margin: 0 .2rem .1rem 0; border-radius: 3px;
      font-size: .8rem; line-height: 1.45rem; background: var(--mark); overflow-wrap: anywhere; }
    .mark.tag { background: var(--tag); color: var(--tag-text); }
    .mark.warning { background: var(--warn); color: var(--warn-text); }
    .mark.good { background: var(--good); color: var(--good-text); }
    .terms { display: grid; grid-template-columns: minmax(7rem, max-content) minmax(0, 1fr); gap: .35rem 1.5rem;
      margin: .5rem 0; }
    .terms dt { color: var(--quiet); }
    .terms dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
    .links { display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; list-style: none; padding: 0; margin: 1.1rem 0; }
    @media (max-width: 640px) {
      header { gap: 1.1rem; flex-wrap: wrap; }
      header, main, footer { padding-left: .9rem; padding-right: .9rem; }
      .wide { display: none; }
      .narrow { display: block; }
      .main { width: auto; }
      .terms { grid-template-columns: fit-content(36%) minmax(0, 1fr); gap: .35rem .9rem; }
      .terms.stacked { grid-template-columns: 1fr; gap: 0; }
      .terms.stacked dd { margin-bottom: .5rem; }
      .sub.n, .sub .n { white-space: normal; }
      td, th { padding-left: .4rem; padding-right: .4rem; }
    }

    """

  private static let details = """
    form { display: flex; flex-wrap: wrap; gap: .75rem 1.25rem; align-items: center; }
    select, button { font: inherit; color: var(--text); background: var(--page); border: 1px solid var(--quiet);
      border-radius: 4px; padding: .2rem .5rem; max-width: 100%; }
    button { cursor: pointer; background: var(--soft); }
    button:hover { background: var(--mark); }
    .copy { font-size: .8rem; padding: .05rem .5rem; border-color: var(--line); }
    .code { overflow-x: auto; border: 1px solid var(--line); border-radius: 4px; margin: .5rem 0; }
    .code table { font-size: .84rem; font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono",
      monospace; line-height: 1.45; }
    .code td { border: 0; padding: 0 .75rem; white-space: pre; tab-size: 8; }
    .code tr:hover { background: none; }
    .code .line { text-align: right; color: var(--quiet); user-select: none; width: 1%; }
    .code .line a { color: inherit; text-decoration: none; }
    .code .line a:hover { text-decoration: underline; }
    .code tr:target { background: var(--tag); }
    .code .from { width: 1%; color: var(--quiet); border-right: 1px solid var(--line); }
    .code .first td { border-top: 1px solid var(--line); }
    .code .first:first-child td { border-top: 0; }
    .diff td { padding: 0 .75rem; }
    .diff .hunk td { color: var(--quiet); background: var(--soft); }
    .diff .add td { background: var(--added); color: var(--added-text); }
    .diff .del td { background: var(--removed); color: var(--removed-text); }
    .sign { font-weight: 600; }
    .plus { color: var(--added-text); } .minus { color: var(--removed-text); }
    .counts { display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; margin: 0 0 1rem; padding: 0; list-style: none; }
    .counts strong { font-variant-numeric: tabular-nums; }

    """

  private static let charts = """
    figure { margin: 1rem 0 1.5rem; }
    figcaption { color: var(--quiet); font-size: .85rem; margin-bottom: .3rem; }
    svg { display: block; width: 100%; height: auto; overflow: visible; }
    svg text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
      fill: var(--quiet); font-variant-numeric: tabular-nums; }
    .grid { stroke: var(--line); stroke-width: 1; }
    .curve { fill: none; stroke: var(--link); stroke-width: 2; vector-effect: non-scaling-stroke; }
    .area { fill: var(--link); opacity: .1; }
    .dot { fill: var(--page); stroke: var(--link); stroke-width: 2; }
    .dot.marked { fill: var(--link); }
    .end { text-anchor: end; }
    .map rect { stroke: var(--page); stroke-width: 1.5; }
    .map text { fill: var(--c-text); pointer-events: none; }
    .map a:focus-visible rect, .map a:hover rect { stroke: var(--link); stroke-width: 3; }
    .map .c1 { fill: var(--c1); } .map .c2 { fill: var(--c2); } .map .c3 { fill: var(--c3); }
    .map .c4 { fill: var(--c4); } .map .c5 { fill: var(--c5); } .map .c6 { fill: var(--c6); }
    @media (max-width: 640px) { .chart text { font-size: 22px; } .map text { font-size: 26px; }
      .map .small, .map .above { display: none; } }
    @media (prefers-reduced-motion: no-preference) { a, button { transition: color .1s; } }

    """
}
