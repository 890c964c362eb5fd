// A treemap as SVG: rectangles whose areas are sizes. The layout is that of M. Bruls, K. Huizing and J. van Wijk,
// "Squarified Treemaps" (2000).
//
// Rectangles below a few pixels are left out: the table on the page has all names.

import Images

/// A map of sizes, in one or two levels.
struct Treemap {
  /// A field of the map.
  struct Item {
    let name: String
    /// The size without those of its parts.
    let bytes: UInt64
    var url: SiteURL?
    var parts: [Item] = []
    var total: Double { parts.reduce(Double(bytes)) { $0 + $1.total } }
  }

  /// A rectangle.
  private struct Box {
    var (x, y, width, height): (Double, Double, Double, Double)
    init(_ x: Double, _ y: Double, _ width: Double, _ height: Double) {
      (self.x, self.y, self.width, self.height) = (x, y, max(0, width), max(0, height))
    }
    func inset(_ top: Double) -> Box { Box(x + 2, y + top, width - 4, height - top - 2) }
  }

  private static let (width, height, titleHeight) = (1000.0, 420.0, 18.0)
  private static let colours: [StaticString] = ["c1", "c2", "c3", "c4", "c5", "c6"]
  let title: String
  let items: [Item]

  var html: HTML {
    let sorted = items.filter { $0.total > 0 }.sorted { ($1.total, $0.name) < ($0.total, $1.name) }
    if sorted.isEmpty { return .nothing }
    let boxes = Self.layout(sorted.map(\.total), in: Box(0, 0, Self.width, Self.height))
    var nodes: [HTML] = []
    for (index, (item, box)) in zip(sorted, boxes).enumerated() {
      let colour = Self.colours[index % Self.colours.count]
      nodes.append(Self.field(item, box, colour))
      guard !item.parts.isEmpty, box.width > 40, box.height > 40 else { continue }
      let parts = (item.parts + [Item(name: "", bytes: item.bytes)]).filter { $0.total > 0 }
        .sorted { $1.total < $0.total }
      for (part, inner) in zip(
        parts, Self.layout(parts.map(\.total), in: box.inset(Self.titleHeight)))
      where !part.name.isEmpty {
        nodes.append(Self.field(part, inner, colour, above: item.name))
      }
    }
    return .tag(
      "figure",
      content: [
        .tag("figcaption", text: title),
        .tag(
          "svg", .style("map"), HTMLAttribute("viewBox", "0 0 1000 420"),
          HTMLAttribute("role", "group"), HTMLAttribute("aria-label", title), content: nodes),
      ])
  }

  private static func field(
    _ item: Item, _ box: Box, _ colour: StaticString, above: String? = nil
  ) -> HTML {
    guard box.width > 2, box.height > 2 else { return .nothing }
    let name = printable(item.name.utf8)
    let full = (above.map { printable($0.utf8) + "/" } ?? "") + name
    let label = "\(full): \(sizeText(UInt64(item.total)))"
    var nodes: [HTML] = [
      .tag(
        "rect", .style(colour), HTMLAttribute("x", box.x), HTMLAttribute("y", box.y),
        HTMLAttribute("width", box.width), HTMLAttribute("height", box.height),
        content: [.tag("title", text: label)])
    ]
    // A letter is about 6.5 wide.
    let letters = Int((box.width - 8) / 6.8)
    if letters >= 3, box.height >= 16 {
      let text = name.count > letters ? String(name.prefix(letters - 1)) + "…" : name
      // Small screens have letters of twice the size.
      let isSmall = Double(text.count) * 15 > box.width - 8 || box.height < 50
      nodes.append(
        .tag(
          "text",
          .style(
            !item.parts.isEmpty ? "above" : isSmall ? "small" : "large"),
          HTMLAttribute("x", box.x + 5), HTMLAttribute("y", box.y + 5),
          HTMLAttribute("dy", "0.75em"), text: text))
    }
    guard let url = item.url else { return .tag("g", content: nodes) }
    return .tag("a", .href(url), HTMLAttribute("aria-label", label), content: nodes)
  }

  /// Returns a rectangle for each size, which are in descending order.
  private static func layout(_ sizes: [Double], in area: Box) -> [Box] {
    let total = sizes.reduce(0, +)
    guard total > 0, area.width > 0, area.height > 0 else {
      return sizes.map { _ in Box(area.x, area.y, 0, 0) }
    }
    let factor = area.width * area.height / total
    var (boxes, rest): ([Box], Box) = ([], area)
    var start = 0
    while start < sizes.count {
      let side = min(rest.width, rest.height)
      var end = start + 1
      var sum = sizes[start] * factor
      var worst = ratio(sizes[start] * factor, sum, side)
      while end < sizes.count {
        let next = sum + sizes[end] * factor
        let nextWorst = max(
          ratio(sizes[start] * factor, next, side), ratio(sizes[end] * factor, next, side))
        guard nextWorst <= worst else { break }
        (sum, worst, end) = (next, nextWorst, end + 1)
      }
      let depth = side > 0 ? sum / side : 0
      var offset = 0.0
      for size in sizes[start..<end] {
        let length = depth > 0 ? size * factor / depth : 0
        boxes.append(
          rest.width >= rest.height
            ? Box(rest.x, rest.y + offset, depth, length)
            : Box(rest.x + offset, rest.y, length, depth))
        offset += length
      }
      rest =
        rest.width >= rest.height
        ? Box(rest.x + depth, rest.y, rest.width - depth, rest.height)
        : Box(rest.x, rest.y + depth, rest.width, rest.height - depth)
      start = end
    }
    return boxes
  }

  /// The ratio of the sides of a rectangle in a row of this sum.
  private static func ratio(_ size: Double, _ sum: Double, _ side: Double) -> Double {
    guard size > 0, sum > 0, side > 0 else { return .infinity }
    let depth = sum / side
    let length = size / depth
    return max(depth / length, length / depth)
  }
}
