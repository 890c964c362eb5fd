// What a bundle says beside files and tables, kept in a snapshot's facts, so that the snapshot can be
// exported again as it came.

import Store
import XCAT

struct BundleFacts {
  /// `postscripts`, `postbootscripts`.
  var values: [String: String] = [:]
  var extras: [Manifest.Extra] = []
  /// Members that extras brought, and the path that each became.
  var extraMembers: [(name: String, path: String)] = []

  private static let valuePrefix = "bundle."
  private static let extraSource = "extra-src"
  private static let extraDestination = "extra-dest"
  private static let memberName = "extra-member"
  private static let memberPath = "extra-path"

  init() {}

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
      }
  }
}
