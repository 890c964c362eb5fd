// What a scan of secrets found: for people, JSON and tests.

import Platform
import Store

/// The layer of an image that a file is in.
public enum SecretLayer: String, Sendable, Comparable {
  case definition
  case tree = "root tree"
  case packed = "packed image"
  case ramdisk
  /// A list, script, extra or kit: a file of the management node.
  case file

  public static func < (a: SecretLayer, b: SecretLayer) -> Bool { a.rawValue < b.rawValue }
}

/// A secret that an image carries.
public struct SecretFinding: Sendable, Equatable {
  public enum Treatment: String, Sendable {
    /// The file is not in a scrubbed bundle.
    case leftOut = "left out"
    /// The file is there, without the secret.
    case blanked
    /// Published by a package: it is no secret, and stays.
    case kept
  }

  public let layer: SecretLayer
  /// The file or, of a definition, TABLE.COLUMN. Inside of a tree or an archive below its top.
  public let path: [UInt8]
  /// The archive or tree on the management node that the file is in; nil for a file of its own.
  public let container: [UInt8]?
  public let kind: SecretKind
  /// The rule's name in docs/secrets.md.
  public let rule: String
  public let reason: String
  public internal(set) var treatment: Treatment
  /// The package that brought the file, and brought it so.
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
    self.treatment = treatment
    self.package = package
  }

  /// "etc/shadow in packed image /install/…/rootimg.cpio.gz".
  public var location: String {
    guard let container else { return printable(path) }
    return "\(printable(path)) in \(layer.rawValue) \(printable(container))"
  }
}

/// A file that cannot be looked into.
public struct UnexaminedFile: Sendable, Equatable {
  public let path: [UInt8]
  public let finding: String
  /// What makes it one that can be examined.
  public let advice: String
}

/// All that a scan found.
public struct SecretReport: Sendable {
  /// Secrets, by layer and path. Without what packages published.
  public internal(set) var findings: [SecretFinding] = []
  /// Key material and samples that packages publish: everybody has them.
  public internal(set) var published: [SecretFinding] = []
  /// What may hold secrets, and cannot be examined.
  public internal(set) var unexamined: [UnexaminedFile] = []
  /// The findings were taken out of what was written.
  public internal(set) var isScrubbed = false
  /// The image is an osimage, whose nodes xCAT looks after.
  public internal(set) var hasXCAT = true

  public init() {}

  /// How many of each kind, the most frequent first.
  public var counts: [(kind: SecretKind, count: Int)] {
    var counts: [SecretKind: Int] = [:]
    for finding in findings { counts[finding.kind, default: 0] += 1 }
    return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
  }

  /// What the nodes of a scrubbed image need from elsewhere, a line each.
  public var deliveries: [String] {
    let kinds = Set(findings.map(\.kind))
    var seen: Set<String> = []
    return SecretKind.allCases.filter(kinds.contains).compactMap { $0.delivery(hasXCAT: hasXCAT) }
      .filter { seen.insert($0).inserted }
  }

  mutating func add(_ other: SecretReport) {
    findings += other.findings
    published += other.published
    unexamined += other.unexamined
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
