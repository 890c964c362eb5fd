// The request and the result of `imgstore bench`.

import Platform
import Render

/// The measurements to make.
public struct BenchRequest: Sendable {
  /// The name of an image, or the path of a directory.
  public var subject: String
  public var forms: [BenchForm]
  /// How much of the content changes before the third run, in percent of its bytes.
  public var changePercent = 1.0
  /// The number of runs per measurement. Each result is the median.
  public var rounds = 1
  /// Whether to measure other programs that write the same forms.
  public var measuresPeers = true
  /// The directory for the scratch store and the packed files.
  public var workDirectory: String
  public var threads = processorCount

  public init(_ subject: String, forms: [BenchForm], workDirectory: String) {
    self.subject = subject
    self.forms = forms
    self.workDirectory = workDirectory
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

  /// The form's name, such as "cpio.gz".
  public var name: String { "\(method == .squashfs ? "sfs" : method.rawValue).\(codec.suffix)" }
}

/// One measurement: a row of the result table.
public struct BenchRun: Sendable {
  public enum Variant: Hashable, Sendable {
    /// Other programs, in shell syntax.
    case peer(String)
    /// With an empty segment cache.
    case cold
    /// After a part of the content has changed since the last run.
    case changed
    /// With no change since the last run.
    case warm
  }
  public let form: BenchForm
  public let variant: Variant
  /// The median of the runs, including the sync of the file.
  public let seconds: Double
  public let sizeBytes: UInt64
}

/// The results of all measurements.
public struct BenchOutcome: Sendable {
  public let subject: String
  public let entries: UInt64
  public let contentBytes: UInt64
  /// The bytes of the files that changed before the third run.
  public let changedBytes: UInt64
  public let changePercent: Double
  public let threads: Int
  public let rounds: Int
  /// The time to read the tree into the scratch store. A pack of a tree that is already in the store does not
  /// need it.
  public let snapshotSeconds: Double
  public let runs: [BenchRun]
  /// Notes on programs that are not installed, or failed.
  public let remarks: [String]

  /// Returns how many times faster a run is than the fastest other program for the same form; nil if there
  /// is none.
  public func speedUp(_ run: BenchRun) -> Double? {
    let peers = runs.filter {
      if case .peer = $0.variant { return $0.form == run.form }
      return false
    }
    guard let fastest = peers.map(\.seconds).min(), run.seconds > 0 else { return nil }
    return fastest / run.seconds
  }
}
