// The JSON forms that the documents of changes share (docs/json.md).

import Apply
import Images
import Platform

struct ProblemJSON: Codable {
  let path: String
  let what: String
}

struct ApplyReportJSON: Codable {
  let writtenEntries: Int
  let writtenBytes: UInt64
  let reusedEntries: Int
  let removedEntries: Int
  let changedAttributes: Int
  let problems: [ProblemJSON]

  init(_ report: ApplyReport) {
    writtenEntries = report.writtenFiles
    writtenBytes = report.writtenBytes
    reusedEntries = report.reusedFiles
    removedEntries = report.removed
    changedAttributes = report.changedAttributes
    problems = report.problems.map { ProblemJSON(path: printable($0.path), what: $0.what) }
  }
}

struct TreeStrategyJSON: Codable {
  let path: String
  let method: String
  let why: String

  init(_ method: TreeStrategy) {
    path = printable(method.path)
    self.method = method.isSwap ? "swap" : "in place"
    why = method.reason
  }
}
