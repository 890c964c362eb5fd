// Returns candidates for attributes of a definition and for components of an image.

import Store
import XCAT

extension CompletionSource {
  /// Returns candidates ATTRIBUTE=, or the values of an attribute, for `define`.
  /// - Parameter given: the other assignments on the line.
  static func assignments(_ word: String, given: [String]) -> Completion {
    guard let equals = word.firstIndex(of: "=") else {
      let used = Set(given.map { $0.prefix { $0 != "=" } })
      let names = attributes.filter { $0.hasPrefix(word) && !used.contains($0[...]) }
      return .init(.candidates(names.map { CompletionCandidate($0 + "=", isFinished: false) }))
    }
    let (name, value) = (String(word[..<equals]), word[word.index(after: equals)...])
    let kept = name + "="
    if directoryAttributes.contains(name) { return Completion(kept: kept, .directories) }
    if FileAttribute(rawValue: name) != nil {
      return Completion(kept: kept, .files)
    }
    let values = (knownValues[name] ?? []).filter { $0.hasPrefix(value) }
    return Completion(kept: kept, .candidates(values.map { CompletionCandidate($0) }))
  }

  /// All attributes that `define` accepts.
  private static let attributes: [String] = {
    let columns = TableSchema.osimage.columns + TableSchema.linuximage.columns
    return (columns.filter { TableSchema.table(of: $0) != nil } + ["usercomment"]).sorted()
  }()

  private static let directoryAttributes: Set<String> = [
    "rootimgdir", "pkgdir", "otherpkgdir", "kerneldir", "cfmdir",
  ]

  private static let knownValues = [
    "provmethod": ["install", "netboot", "raw", "statelite", "sysclone"],
    "imagetype": ["linux"],
    "osarch": ["aarch64", "ppc64", "ppc64le", "s390x", "x86", "x86_64"],
    "rootfstype": ["nfs", "ramdisk"],
  ]

  /// Returns the components that `revert --component` accepts.
  /// - Parameter reference: the snapshot with the components; nil for those that most images have.
  func components(_ word: String, of reference: String?) -> [CompletionCandidate] {
    var names = ["definition"]
    if let snapshot = reference.flatMap(snapshot)?.snapshot {
      let roles = Set(snapshot.components.map(\.role))
      names += roles.map { $0 == .rootTree ? "tree" : $0.text }.filter { !$0.contains("/") }
        .sorted()
      names += snapshot.definition.attributes.map(\.name).filter { !roles.contains(Role($0)) }
    } else {
      names += ["tree"] + [Role.kernel, .ramdisk, .packed].map(\.text)
    }
    return names.filter { $0.hasPrefix(word) }.map { CompletionCandidate($0) }
  }
}
