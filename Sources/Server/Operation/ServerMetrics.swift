// The server's own metrics in the text format of Prometheus
// (https://prometheus.io/docs/instrumenting/exposition_formats/). Labels are words of this program, which need no
// escapes.

import HTTPServer

/// Writes the counts of a server.
enum ServerMetrics {
  /// Returns the text of all metrics.
  static func text(
    _ values: ServerCounters.Values, _ rendered: RenderedFiles.Counts, queued: Int
  ) -> String {
    var text = MetricText()
    let routes = values.routes.sorted { $0.key < $1.key }
    text.begin("imgstore_http_requests_total", "counter", "Answered requests")
    for (route, counts) in routes {
      for (status, count) in counts.statuses.sorted(by: { $0.key < $1.key }) {
        text.add("{route=\"\(route)\",status=\"\(status)\"}", "\(count)")
      }
    }
    text.begin("imgstore_http_response_bytes_total", "counter", "Sent bytes of bodies")
    for (route, counts) in routes { text.add("{route=\"\(route)\"}", "\(counts.bodyBytes)") }
    text.begin(
      "imgstore_http_incomplete_total", "counter", "Answers that were not sent as a whole")
    for (route, counts) in routes { text.add("{route=\"\(route)\"}", "\(counts.incomplete)") }
    addHistogram(routes, to: &text)
    text.begin("imgstore_http_connections_total", "counter", "Accepted connections")
    text.add("", "\(values.connections)")
    text.begin("imgstore_http_open_connections", "gauge", "Open connections")
    text.add("", "\(values.openConnections)")
    text.begin("imgstore_http_queued_requests", "gauge", "Requests that wait for a thread")
    text.add("", "\(queued)")
    text.begin(
      "imgstore_http_rejected_total", "counter",
      "Connections and requests refused because of limits")
    text.add("{reason=\"connections\"}", "\(values.refusedConnections)")
    text.add("{reason=\"queue\"}", "\(values.refusedRequests)")
    text.add("{reason=\"timeout\"}", "\(values.timeouts)")
    add(rendered, to: &text)
    return text.lines
  }

  private static func add(_ rendered: RenderedFiles.Counts, to text: inout MetricText) {
    text.begin(
      "imgstore_rendered_requests_total", "counter",
      "Requests for rendered files: complete ones, those that begin a rendering, and those that join one"
    )
    text.add("{cache=\"hit\"}", "\(rendered.hits)")
    text.add("{cache=\"miss\"}", "\(rendered.misses)")
    text.add("{cache=\"shared\"}", "\(rendered.shared)")
    text.begin(
      "imgstore_rendered_refused_total", "counter",
      "Requests refused because too many renderings wait")
    text.add("", "\(rendered.refused)")
    text.begin("imgstore_rendered_failed_total", "counter", "Renderings that failed")
    text.add("", "\(rendered.failed)")
    text.begin("imgstore_rendered_evicted_total", "counter", "Rendered files that were removed")
    text.add("", "\(rendered.evicted)")
    text.begin("imgstore_rendered_files", "gauge", "Rendered files in the cache")
    text.add("", "\(rendered.files)")
    text.begin("imgstore_rendered_size_bytes", "gauge", "The size of the rendered files")
    text.add("", "\(rendered.sizeBytes)")
    text.begin("imgstore_rendering", "gauge", "Renderings that run or wait")
    text.add("", "\(rendered.renderings)")
  }

  private static func addHistogram(
    _ routes: [(key: String, value: ServerCounters.Route)], to text: inout MetricText
  ) {
    text.begin(
      "imgstore_http_request_duration_seconds", "histogram",
      "Time from a request to the end of its answer")
    for (route, counts) in routes {
      var total: UInt64 = 0
      for (bound, count) in zip(ServerCounters.bucketSeconds, counts.buckets) {
        total += count
        text.add("_bucket{route=\"\(route)\",le=\"\(number(bound))\"}", "\(total)")
      }
      total += counts.buckets.last ?? 0
      text.add("_bucket{route=\"\(route)\",le=\"+Inf\"}", "\(total)")
      text.add("_sum{route=\"\(route)\"}", "\(counts.seconds)")
      text.add("_count{route=\"\(route)\"}", "\(total)")
    }
  }

  private static func number(_ value: Double) -> String {
    Int(exactly: value).map { "\($0)" } ?? "\(value)"
  }
}

/// The lines of metrics.
private struct MetricText {
  private(set) var lines = ""
  private var name = ""

  mutating func begin(_ name: String, _ type: String, _ help: String) {
    self.name = name
    lines += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
  }

  mutating func add(_ suffix: String, _ value: String) { lines += "\(name)\(suffix) \(value)\n" }
}
