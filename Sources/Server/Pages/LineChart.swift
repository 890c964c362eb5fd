// A chart of sizes over time, as SVG without styles of its own. A table of the same numbers stands elsewhere on
// the page, or its points have labels.

import Images

/// A line of sizes over time.
struct LineChart {
  /// A point of the line.
  struct Point {
    let time: Timestamp
    let bytes: UInt64
    let label: String
    /// Whether the point stands out.
    let isMarked: Bool
  }

  private static let (width, height) = (1000.0, 180.0)
  private static let (left, top, bottom) = (80.0, 12.0, 24.0)
  let title: String
  let points: [Point]

  var html: HTML {
    guard let first = points.first, let last = points.last, points.count > 1 else {
      return .nothing
    }
    let largest = max(1, Double(points.map(\.bytes).max() ?? 1))
    let scale = Self.niceMaximum(largest)
    let (begin, end) = (Double(first.time.seconds), Double(last.time.seconds))
    let span = max(1, end - begin)
    func x(_ index: Int) -> Double {
      // Points of one second stand next to each other.
      let part =
        end > begin
        ? (Double(points[index].time.seconds) - begin) / span
        : Double(index) / Double(points.count - 1)
      return Self.left + part * (Self.width - Self.left - 8)
    }
    func y(_ bytes: Double) -> Double {
      Self.height - Self.bottom - bytes / scale * (Self.height - Self.top - Self.bottom)
    }
    let curve = points.indices.map {
      "\(Self.number(x($0))),\(Self.number(y(Double(points[$0].bytes))))"
    }
    let base = Self.number(Self.height - Self.bottom)
    let area =
      ["\(Self.number(x(0))),\(base)"] + curve
      + ["\(Self.number(x(points.count - 1))),\(base)"]
    var nodes = Self.lines(scale, y)
    nodes += [
      .tag("polygon", .style("area"), HTMLAttribute("points", area.joined(separator: " "))),
      .tag("polyline", .style("curve"), HTMLAttribute("points", curve.joined(separator: " "))),
    ]
    if points.count <= 60 {
      nodes += points.indices.map { dot(points[$0], x($0), y(Double(points[$0].bytes))) }
    }
    nodes += [
      .tag(
        "text", HTMLAttribute("x", Self.left), HTMLAttribute("y", Self.height - 4),
        text: localTime(first.time.seconds, "%Y-%m-%d")),
      .tag(
        "text", .style("end"), HTMLAttribute("x", Self.width), HTMLAttribute("y", Self.height - 4),
        text: localTime(last.time.seconds, "%Y-%m-%d")),
    ]
    return .tag(
      "figure",
      content: [
        .tag("figcaption", text: title),
        .tag(
          "svg", .style("chart"), HTMLAttribute("viewBox", "0 0 1000 180"),
          HTMLAttribute("role", "img"),
          HTMLAttribute(
            "aria-label",
            "\(title): \(sizeText(first.bytes)) at first, \(sizeText(last.bytes)) at last"),
          content: nodes),
      ])
  }

  /// The horizontal lines, with the sizes that they mean.
  private static func lines(_ scale: Double, _ y: (Double) -> Double) -> [HTML] {
    [0.0, 0.5, 1.0].flatMap { part -> [HTML] in
      let line = y(scale * part)
      return [
        .tag(
          "line", .style("grid"), HTMLAttribute("x1", left), HTMLAttribute("x2", width),
          HTMLAttribute("y1", line), HTMLAttribute("y2", line)),
        .tag(
          "text", .style("end"), HTMLAttribute("x", left - 8), HTMLAttribute("y", line + 4),
          text: sizeText(UInt64(scale * part))),
      ]
    }
  }

  private func dot(_ point: Point, _ x: Double, _ y: Double) -> HTML {
    let label =
      (point.label.isEmpty ? "" : printable(point.label.utf8) + ", ")
      + localTime(point.time.seconds, "%Y-%m-%d %H:%M") + ", " + sizeText(point.bytes)
    return .tag(
      "circle", .style(point.isMarked ? "dot marked" : "dot"), HTMLAttribute("cx", x),
      HTMLAttribute("cy", y), HTMLAttribute("r", 4.0), content: [.tag("title", text: label)])
  }

  private static func number(_ value: Double) -> String {
    "\((value * 10).rounded() / 10)"
  }

  /// Returns the next larger value with one or two digits.
  private static func niceMaximum(_ value: Double) -> Double {
    var unit = 1.0
    while unit * 10 <= value { unit *= 10 }
    return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map { $0 * unit }.first { $0 >= value } ?? value
  }
}
