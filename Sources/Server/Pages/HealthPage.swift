// The page of the health of the store: verification, garbage, maintenance, growth, damage.

import HTTPServer
import Images

/// Shows the health of the store.
struct HealthPage {
  private static let maxRows = 50
  let call: PageCall

  init(_ call: PageCall) { self.call = call }

  func response() throws -> HTTPResponse {
    // On a service node, this is the state of the cache.
    let state = try call.workspace.storeState()
    let statistics = try call.workspace.statistics()
    var content: [HTML] = state.unfinished.map(ImagesPage.unfinished)
    content += [work(state), problems(state, statistics)]
    if call.opener.remote == nil, statistics.unreadable.isEmpty {
      let overview = try call.space.overview(call.workspace)
      content += [
        .heading("Growth", id: "growth"),
        .paragraph(
          .text(
            "What all snapshots that exist now and were taken until a time need, after compression."
          )
        ),
        LineChart(
          title: "Size of the store",
          points: overview.growth.map {
            .init(time: $0.time, bytes: $0.bytes, label: "", isMarked: false)
          }
        ).html,
      ]
    }
    content += [contents(statistics), commands]
    return Page(section: .health, title: "Health", content: content).response()
  }

  private func when(_ seconds: Int64?) -> HTML {
    guard let seconds else { return .tag("span", .style("sub"), text: "never, as far as is known") }
    let time = Timestamp(seconds: seconds, nanoseconds: 0)
    return .group([.time(time), .text(", " + ageText(time, now: call.now))])
  }

  private func work(_ state: StoreState) -> HTML {
    var rows: [(String, HTML)] = [
      (
        "Verified",
        .group([
          when(state.verified), .text(" "),
          (state.problems ?? 0) > 0
            ? .mark(.warning, .text(countText(state.problems ?? 0, "problem")))
            : state.verified == nil ? .nothing : .mark(.good, .text("no problem")),
        ])
      ), ("Garbage collected", when(state.collected)), ("Recompressed", when(state.optimized)),
    ]
    if let run = state.run {
      rows.append(
        (
          "Maintained",
          .group([
            when(run.ended), .text(" "),
            run.exitCode == 0
              ? .mark(.good, .text("done"))
              : .mark(.warning, .text("exit code \(run.exitCode)")),
          ])
        ))
      if let earlier = run.earlierPackBytes {
        let (sign, bytes) =
          run.packBytes >= earlier ? ("+", run.packBytes - earlier) : ("−", earlier - run.packBytes)
        rows.append(
          (
            "Growth between the last two",
            .tag("span", .style("n"), text: sign + sizeText(bytes))
          ))
      }
    } else {
      rows.append(("Maintained", when(nil)))
    }
    return .terms(rows)
  }

  private func problems(_ state: StoreState, _ statistics: StoreStatistics) -> HTML {
    if statistics.unreadable.isEmpty {
      return .paragraph(.text("All snapshots can be read."))
    }
    return .group([
      .heading("Damage", id: "damage"),
      .table(
        "Snapshots that cannot be read", [.text("Snapshot"), .main("Finding")],
        statistics.unreadable.prefix(Self.maxRows).map {
          [.foreign("\($0.name)"), .message($0.reason)]
        }),
    ])
  }

  private func contents(_ statistics: StoreStatistics) -> HTML {
    let contents = statistics.contents
    return .group([
      .heading("Contents", id: "contents"),
      .terms([
        ("Images", .number(statistics.images)),
        (
          "Snapshots",
          .group([
            .text("\(numberText(statistics.snapshots)), "), .size(statistics.contentBytes),
            .text(" without deduplication"),
          ])
        ),
        (
          "Packs",
          .group([
            .text("\(numberText(contents.packs)), "), .size(contents.packBytes), .text(" of "),
            .size(contents.rawBytes), .text(" before compression"),
          ])
        ), ("Index", .size(statistics.indexBytes)), ("Caches", .size(statistics.cacheBytes)),
        (
          "Unfinished files",
          .group([
            .size(statistics.unfinishedBytes),
            .text(statistics.unfinishedBytes > 0 ? ", which gc removes" : ""),
          ])
        ),
      ]),
    ])
  }

  private var commands: HTML {
    .group([
      .heading("Commands"),
      .terms(
        [
          ("Check everything", .command("imgstore verify --deep")),
          ("Examine the installation", .command("imgstore doctor")),
          ("Do the nightly work", .command("imgstore maintain")),
        ], isStacked: true),
    ])
  }
}
