// The text format of Prometheus, version 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format).

/// A gauge with its samples.
struct Metric {
  let name: String
  let help: String
  private(set) var samples: [(labels: [(String, String)], value: Double)] = []

  init(_ name: String, _ help: String) { (self.name, self.help) = (name, help) }

  /// Creates a gauge with one sample; without one if the value is unknown.
  init(_ name: String, _ help: String, _ value: Double?) {
    self.init(name, help)
    if let value { add(value) }
  }

  mutating func add(_ value: Double, _ labels: (String, String)...) {
    samples.append((labels, value))
  }

  /// The lines of the gauge; empty without a sample.
  var text: String {
    if samples.isEmpty { return "" }
    var text = "# HELP \(name) \(help)\n# TYPE \(name) gauge\n"
    for (labels, value) in samples {
      let list = labels.map { "\($0.0)=\"\(Metric.escaped($0.1))\"" }.joined(separator: ",")
      text += name + (list.isEmpty ? "" : "{\(list)}") + " \(Metric.number(value))\n"
    }
    return text
  }

  private static func number(_ value: Double) -> String {
    Int64(exactly: value).map { "\($0)" } ?? "\(value)"
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }
}
