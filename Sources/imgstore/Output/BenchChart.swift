// The results of `bench` as a bar chart: a group for each form, a bar for each run. The length of a bar is
// its time.

import Images

/// Renders a chart as SVG 1.1.
struct BenchChart {
  private let outcome: BenchOutcome
  private static let width = 760
  private static let labelWidth = 250
  private static let barHeight = 18
  private static let rowHeight = 24
  private static let groupHeight = 34

  init(_ outcome: BenchOutcome) { self.outcome = outcome }

  /// The chart as an SVG document.
  var svg: String {
    var y = 62
    var body = ""
    var last = ""
    for run in outcome.runs {
      if run.form.name != last {
        last = run.form.name
        y += 10
        body += text(16, y + 14, last, Font(size: 14, weight: "bold"))
        y += BenchChart.groupHeight - 10
      }
      body += bar(run, y)
      y += BenchChart.rowHeight
    }
    let height = y + 16
    let title = "Packing \(outcome.subject): \(sizeText(outcome.contentBytes))"
    let note =
      "\(count(outcome.entries, "entry")), \(count(outcome.threads, "processor")); seconds, shorter is "
      + "better"
    return """
      <?xml version="1.0" encoding="UTF-8"?>
      <svg xmlns="http://www.w3.org/2000/svg" width="\(BenchChart.width)" height="\(height)" \
      viewBox="0 0 \(BenchChart.width) \(height)" font-family="sans-serif">
      <rect width="100%" height="100%" fill="#ffffff"/>
      \(text(16, 30, title, Font(size: 18, weight: "bold")))\(text(16, 50, note, Font(size: 12, fill: "#555555")))\
      \(body)</svg>

      """
  }

  private func bar(_ run: BenchRun, _ y: Int) -> String {
    let longest = outcome.runs.map(\.seconds).max() ?? 0
    let maxLength = Double(BenchChart.width - BenchChart.labelWidth - 150)
    let length = longest > 0 ? max(1, Int(maxLength * run.seconds / longest)) : 1
    var value = secondsText(run.seconds)
    var fill = "#b4b4b4"
    switch run.variant {
    case .peer: break
    case .cold: fill = "#1f5fa8"
    case .changed: fill = "#3d8bd9"
    case .warm: fill = "#7db8ef"
    }
    if fill != "#b4b4b4", let times = outcome.speedUp(run) { value += ", \(timesText(times))×" }
    let x = BenchChart.labelWidth
    let label = run.variant.text(outcome.changePercent)
    return text(x - 8, y + 14, label, Font(size: 12, anchor: "end"))
      + "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(length)\" height=\"\(BenchChart.barHeight)\" "
      + "fill=\"\(fill)\"/>\n" + text(x + length + 6, y + 14, value, Font(size: 12))
  }

  /// The attributes of a text.
  private struct Font {
    let size: Int
    var weight = "normal"
    var fill = "#1a1a1a"
    var anchor = "start"
  }

  private func text(_ x: Int, _ y: Int, _ text: String, _ font: Font) -> String {
    "<text x=\"\(x)\" y=\"\(y)\" font-size=\"\(font.size)\" font-weight=\"\(font.weight)\" "
      + "fill=\"\(font.fill)\" text-anchor=\"\(font.anchor)\">\(escaped(text))</text>\n"
  }

  /// Returns a text with XML entities. Control characters are printed as in `printable`, because XML forbids
  /// them.
  private func escaped(_ text: String) -> String {
    var result = ""
    for scalar in printable(Array(text.utf8)).unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
