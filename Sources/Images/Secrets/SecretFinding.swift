// The results of a scan for secrets, for messages, JSON and tests.

import Platform
import Store

/// The layer of an image that a file is in.
public enum SecretLayer: String, Sendable, Comparable {
  case definition
  case tree = "root tree"
  case packed = "packed image"
  case ramdisk
  /// A list, script, extra or kit file on the management node.
  case file

  public static func < (a: SecretLayer, b: SecretLayer) -> Bool { a.rawValue < b.rawValue }
}

/// A secret in an image.
public struct SecretFinding: Sendable, Equatable {
  public enum Treatment: String, Sendable {
    /// A scrubbed bundle does not contain the file.
    case leftOut = "left out"
    /// A scrubbed bundle contains the file without the secret.
    case blanked
    /// A package published the file, so it is not a secret and stays.
    case kept
  }

  public let layer: SecretLayer
  /// The path of the file, or TABLE.COLUMN of a definition. Relative to the top inside a tree or an archive.
  public let path: [UInt8]
  /// The archive or tree on the management node that contains the file; nil for a single file.
  public let container: [UInt8]?
  public let kind: SecretKind
  /// The rule's id in docs/secrets.md.
  public let rule: String
  public let reason: String
  public internal(set) var treatment: Treatment
  /// The package that installed the file, if the file is unchanged.
  public internal(set) var package: String?

  init(
    _ layer: SecretLayer, _ path: [UInt8], in container: [UInt8]?, _ item: SecretVerdict.Item,
    _ treatment: Treatment, package: String? = nil
  ) {
    self.layer = layer
    self.path = path
    self.container = container
    kind = item.kind
    rule = item.rule
    reason = item.reason
    (self.treatment, self.package) = (treatment, package)
  }

  /// The place of the reason: "etc/shadow in packed image /install/…/rootimg.cpio.gz".
  public var location: String {
    guard let container else { return printable(path) }
    return "\(printable(path)) in \(layer.rawValue) \(printable(container))"
  }
}

/// A file that cannot be examined.
public struct UnexaminedFile: Sendable, Equatable {
  public let path: [UInt8]
  public let reason: String
  /// A sentence that says how to make the file examinable.
  public let hint: String
}

/// The results of a scan.
public struct SecretReport: Sendable {
  /// The secrets, by layer and path, without published files.
  public internal(set) var findings: [SecretFinding] = []
  /// Keys and samples that packages publish: everybody has them.
  public internal(set) var published: [SecretFinding] = []
  /// Files that may hold secrets and cannot be examined.
  public internal(set) var unexamined: [UnexaminedFile] = []
  /// Whether the output was written without the findings.
  public internal(set) var isScrubbed = false
  /// The examined snapshot; nil if the report is a part of another outcome.
  public internal(set) var snapshot: String?
  /// The image is a directory, which xCAT does not know.
  var isOfDirectory = false

  public init() {}

  /// The number of findings of each kind, most frequent first.
  public var counts: [(kind: SecretKind, count: Int)] {
    var counts: [SecretKind: Int] = [:]
    for finding in findings { counts[finding.kind, default: 0] += 1 }
    return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
  }

  /// The secrets that the nodes of a scrubbed image need from elsewhere, one line each.
  public var deliveries: [String] {
    let kinds = Set(findings.map(\.kind))
    var seen: Set<String> = []
    return SecretKind.allCases.filter(kinds.contains)
      .compactMap { $0.delivery(isOfDirectory: isOfDirectory) }
      .filter { seen.insert($0).inserted }
  }

  mutating func sort() {
    func order(_ a: SecretFinding, _ b: SecretFinding) -> Bool {
      if a.layer != b.layer { return a.layer < b.layer }
      if a.container != b.container { return precedes(a.container ?? [], b.container ?? []) }
      if a.path != b.path { return precedes(a.path, b.path) }
      return a.rule < b.rule
    }
    findings.sort(by: order)
    published.sort(by: order)
  }
}
