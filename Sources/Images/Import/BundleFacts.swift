// The content of a manifest that is neither a file nor a table row. A snapshot records it in its facts, so
// that an export of the snapshot gives the same bundle again.

import Store
import XCAT

/// The script lists and extras of a bundle, and their encoding as facts of a snapshot.
struct BundleFacts {
  /// The script lists, by their elements in the manifest: `postscripts`, `postbootscripts`.
  var values: [String: String] = [:]
  var extras: [Manifest.Extra] = []
  /// The members of extras, and the path where each was placed.
  var extraMembers: [(name: String, path: String)] = []

  /// Facts about the origin of an image that did not come with a bundle.
  var origin: [Snapshot.Fact] = []

  private static let valuePrefix = "bundle."
  private static let extraSource = "extra-src"
  private static let extraDestination = "extra-dest"
  private static let memberName = "extra-member"
  private static let memberPath = "extra-path"

  init() {}

  /// Decodes the facts of a snapshot. Other facts are ignored.
  init(_ facts: [Snapshot.Fact]) {
    for fact in facts {
      switch fact.key {
      case BundleFacts.extraSource:
        extras.append(Manifest.Extra(source: fact.value, destination: ""))
      case BundleFacts.extraDestination:
        if !extras.isEmpty { extras[extras.count - 1].destination = fact.value }
      case BundleFacts.memberName: extraMembers.append((fact.value, ""))
      case BundleFacts.memberPath:
        if !extraMembers.isEmpty { extraMembers[extraMembers.count - 1].path = fact.value }
      case let key where key.hasPrefix(BundleFacts.valuePrefix):
        values[String(key.dropFirst(BundleFacts.valuePrefix.count))] = fact.value
      default: break
      }
    }
  }

  /// The encoded facts. A destination follows its source, and a path follows its member.
  var facts: [Snapshot.Fact] {
    values.sorted { $0.key < $1.key }.map { .init(BundleFacts.valuePrefix + $0.key, $0.value) }
      + extras.flatMap {
        [
          Snapshot.Fact(BundleFacts.extraSource, $0.source),
          Snapshot.Fact(BundleFacts.extraDestination, $0.destination),
        ]
      }
      + extraMembers.flatMap {
        [
          Snapshot.Fact(BundleFacts.memberName, $0.name),
          Snapshot.Fact(BundleFacts.memberPath, $0.path),
        ]
      } + origin
  }
}
