// What can be asked of `imgstore bench`, and what it tells.

import Platform
import Render

/// What to measure.
public struct BenchRequest: Sendable {
  /// An image's name, or a path of a folder.
  public var subject: String
  public var forms: [BenchForm]
  /// How much of the content is new before the third run, in percent of its bytes.
  public var changePercent = 1.0
  /// Each number is the median of as many runs.
  public var rounds = 1
  /// The programs that pack the same way are run, too.
  public var measuresPeers = true
  /// Where a scratch store and the packed files lie meanwhile.
  public var workFolder: String
  public var threads = processorCount

  public init(_ subject: String, forms: [BenchForm], workFolder: String) {
    self.subject = subject
    self.forms = forms
    self.workFolder = workFolder
  }
}

/// A form of packed image.
public struct BenchForm: Hashable, Sendable {
  public let method: PackMethod
  public let codec: SegmentCodec
  public init(_ method: PackMethod, _ codec: SegmentCodec) {
    self.method = method
    self.codec = codec
  }

  /// "cpio.gz".
  public var name: String { "\(method == .squashfs ? "sfs" : method.rawValue).\(codec.suffix)" }
}

/// One line of the table.
public struct BenchRun: Sendable {
  public enum Way: Hashable, Sendable {
    /// Other programs, as a shell would write them.
    case peer(String)
    /// Nothing was compressed before.
    case cold
    /// A part of the content is new since the last time.
    case changed
    /// Nothing is new since the last time.
    case warm
  }
  public let form: BenchForm
  public let way: Way
  /// The median, the file's sync included.
  public let seconds: Double
  public let sizeBytes: UInt64
}

/// What was measured.
public struct BenchOutcome: Sendable {
  public let subject: String
  public let entries: UInt64
  public let contentBytes: UInt64
  /// Bytes in files that were new in the third run.
  public let changedBytes: UInt64
  public let changePercent: Double
  public let threads: Int
  public let rounds: Int
  /// Reading the tree into the scratch store, which a pack of a known tree has behind it.
  public let snapshotSeconds: Double
  public let runs: [BenchRun]
  /// Programs that are not installed, or failed.
  public let remarks: [String]

  /// How often a run fits into the fastest of the other programs' for the same form.
  public func speedUp(_ run: BenchRun) -> Double? {
    let peers = runs.filter {
      if case .peer = $0.way { return $0.form == run.form }
      return false
    }
    guard let fastest = peers.map(\.seconds).min(), run.seconds > 0 else { return nil }
    return fastest / run.seconds
  }
}
