// Refuses to record a live state that most likely comes from an unmounted file system or a failing disk.
// Otherwise retention would replace the last good snapshots with such states, night after night.
//
// 1. The decision depends only on the captured and the recorded state: nothing is read again, and no clock is
//    used.
// 2. A path is absent only if the kernel reports so (ENOENT, ENOTDIR). Any other error ends the capture.

import Ingest
import Platform
import Store
import XCAT

/// The reason for which a live state is not recorded.
enum EmptyStateFinding: Equatable {
  /// The image's directory has neither a tree nor a kernel nor a packed image.
  case noImageFiles(path: [UInt8], detail: String)
  /// `rootimgdir` does not name a directory. The reason contains its value.
  case noDirectory(reason: String)
  /// The path of a directory image does not exist, or is not a directory.
  case directoryMissing(path: [UInt8])
  /// A tree of the latest snapshot does not exist, or is not a directory.
  case treeMissing(path: [UInt8])
  /// A tree with files in the latest snapshot is now an empty directory, or the image consists only of an
  /// empty root tree.
  case treeEmpty(path: [UInt8])
  /// The patterns leave out all that is in the directory.
  case allExcluded(path: [UInt8], pattern: String)
  /// Most of a tree cannot be read.
  case mostlyUnreadable(path: [UInt8], unreadable: UInt64)
  /// The image has lost nine tenths of its entries.
  case mostlyGone(path: [UInt8], entries: UInt64, before: UInt64)

  var path: [UInt8] {
    switch self {
    case .noDirectory: Array("the definition".utf8)
    case .noImageFiles(let path, _), .directoryMissing(let path), .treeMissing(let path),
      .treeEmpty(let path), .allExcluded(let path, _),
      .mostlyUnreadable(let path, _), .mostlyGone(let path, _, _):
      path
    }
  }

  var reason: String {
    switch self {
    case .noDirectory(let reason): reason
    case .noImageFiles(_, let detail):
      "has neither a root tree (rootimg/) nor a kernel nor a packed image"
        + (detail.isEmpty ? "" : " (\(detail))")
    case .directoryMissing: "does not exist, or is not a directory"
    case .treeMissing: "is no longer a directory, but was one in the latest snapshot"
    case .treeEmpty: "has no files"
    case .allExcluded(_, let pattern):
      "has only excluded entries (by '\(printable(pattern.utf8))' and others)"
    case .mostlyUnreadable(_, let unreadable): "cannot be read: \(unreadable) entries or more"
    case .mostlyGone(_, let entries, let before):
      "has \(entries) entries, but the latest snapshot has \(before)"
    }
  }
}

/// Detects a live image that is missing or unreadable.
enum EmptyStateCheck {
  /// Returns the defect of the live state; nil if a snapshot may record it.
  /// - Parameters:
  ///   - latest: the latest snapshot of the image; nil for the first one.
  ///   - source: holds the trees of the latest snapshot.
  static func reason(
    _ live: LiveImage, latest: Snapshot?, in source: some ObjectSource
  ) throws -> EmptyStateFinding? {
    if let fault = ImageFiles.rootDirectoryFault(live.definition) {
      return .noDirectory(reason: fault)
    }
    if let note = live.notes.first(where: { $0.kind == .noImageFiles }) {
      return .noImageFiles(path: note.path, detail: note.detail)
    }
    // The image consists only of its definition: none of the named files exists.
    if live.capture.components.isEmpty, let directory = live.definition.rootImageDirectory {
      return .noImageFiles(path: Array(directory.utf8), detail: "")
    }
    if let path = live.definition.directoryPath,
      live.capture.components.rootTree?.entry.kind != .directory
    {
      return .directoryMissing(path: path.bytes)
    }
    if let path = live.definition.directoryPath?.bytes,
      let note = live.notes.first(where: { $0.kind == .excluded }),
      let top = live.capture.component(at: live.capture.components.rootTree?.path ?? path),
      try !top.hasFiles()
    {
      return .allExcluded(path: path, pattern: note.detail)
    }
    if let tree = onlyEmptyTree(live), tree.entry != latest?.component(at: tree.path)?.entry {
      return .treeEmpty(path: tree.path)
    }
    if let reason = try rootTree(live, latest, source) { return reason }
    let absent = Set(live.capture.absent.map(\.path.bytes))
    for old in latest?.components ?? [] where isFilled(old.entry) {
      if absent.contains(old.path) { return .treeMissing(path: old.path) }
      guard let new = live.capture.components.first(where: { $0.path == old.path }) else {
        continue
      }
      switch new.entry.content {
      case .directory: if !isFilled(new.entry) { return .treeEmpty(path: old.path) }
      case .unreadableDirectory: return .mostlyUnreadable(path: old.path, unreadable: 1)
      // The target of a link is a component of its own.
      case .symlink: break
      default: return .treeMissing(path: old.path)
      }
    }
    if let reason = mostlyUnreadable(live, latest) { return reason }
    guard let latest, latest.entryCount >= smallImageEntries,
      live.capture.entryCount < latest.entryCount / 10,
      let tree = latest.components.first(where: { $0.entry.kind == .directory })
    else { return nil }
    return .mostlyGone(
      path: tree.path, entries: live.capture.entryCount, before: latest.entryCount)
  }

  /// The number of entries below which an image may shrink by any amount.
  private static let smallImageEntries: UInt64 = 100

  /// Checks the root tree, links followed, if it has files in the latest snapshot. A tree that has only
  /// directories, such as `lost+found` or mount points, counts as empty.
  private static func rootTree(
    _ live: LiveImage, _ latest: Snapshot?, _ source: some ObjectSource
  ) throws -> EmptyStateFinding? {
    guard let old = latest?.components.rootTree, let ids = old.entry.ids else { return nil }
    guard let new = live.capture.components.rootTree, new.entry.kind == .directory else {
      return try hasFiles(ids, source) ? .treeMissing(path: old.path) : nil
    }
    if new.entry.content.isMissing || new.entry.ids == ids { return nil }
    guard try live.capture.component(at: new.path)?.hasFiles() == false, try hasFiles(ids, source)
    else { return nil }
    return .treeEmpty(path: new.path)
  }

  private static func hasFiles(_ ids: Tree.IDs, _ source: some ObjectSource) throws -> Bool {
    let entries = try Tree.entries(ids, from: source)
    if entries.contains(where: { $0.kind != .directory }) { return true }
    return try entries.contains { try $0.ids.map { try hasFiles($0, source) } ?? false }
  }

  /// Returns the image's root tree if it is empty and the image's directory has no other component.
  private static func onlyEmptyTree(_ live: LiveImage) -> Snapshot.Component? {
    let own = live.capture.components.filter(\.role.isOwned)
    guard own.count == 1, let tree = own.first, tree.role == .rootTree,
      case .directory = tree.entry.content, !isFilled(tree.entry)
    else { return nil }
    return tree
  }

  private static func mostlyUnreadable(
    _ live: LiveImage, _ latest: Snapshot?
  ) -> EmptyStateFinding? {
    let unreadable = live.capture.unreadableEntries
    guard unreadable > 0,
      let path = live.notes.first(where: { $0.kind == .unreadable })?.path
    else { return nil }
    let isHalfGone = latest.map { live.capture.entryCount < $0.entryCount / 2 } ?? false
    guard isHalfGone || unreadable > live.capture.entryCount / 2 else { return nil }
    return .mostlyUnreadable(path: path, unreadable: unreadable)
  }

  private static let emptyTree = Tree.encode([]) { _ in }.tree

  /// Returns whether an entry is a directory with entries.
  private static func isFilled(_ entry: Entry) -> Bool {
    entry.tree.map { $0 != emptyTree } ?? false
  }
}

extension ImageError {
  /// The error for a live image that is missing or unreadable.
  init(_ reason: EmptyStateFinding, of image: ImageName, _ definition: ImageDefinition) {
    // A directory may not be on the list yet.
    let word = definition.directoryPath.map { shellQuoted($0.text) } ?? image.text
    if case .directoryMissing(let path) = reason {
      self.init(
        printable(path), "\(reason.reason); no snapshot of \(image) was recorded",
        hint:
          "Check that its file system is mounted. If it was moved, 'imgstore add \(image) NEWDIR' "
          + "records its new path; 'imgstore remove \(image) --definition' takes it off the list of images"
      )
      return
    }
    if case .allExcluded = reason {
      self.init(
        printable(reason.path), "\(reason.reason); no snapshot of \(image) was recorded",
        hint: "Correct the patterns: 'imgstore add \(image) --exclude PATTERN …', or "
          + "\(String(decoding: ExcludePatterns.fileName, as: UTF8.self)) at the top of the tree")
      return
    }
    if case .noDirectory = reason {
      self.init(
        printable(reason.path), "\(reason.reason); no snapshot of \(image) was recorded",
        hint: "Correct it with 'imgstore define \(image) rootimgdir=…'")
      return
    }
    if case .noImageFiles(let path, _) = reason, path != [0x2f] {
      self.init(
        printable(reason.path), "\(reason.reason); no snapshot of \(image) was recorded",
        hint: "Check that its file system is mounted. If \(printable(path)) itself is the tree, "
          + "'imgstore add NAME \(printable(path))' keeps it; "
          + "'imgstore snapshot \(image) --allow-empty' records this state all the same")
      return
    }
    self.init(
      printable(reason.path), "\(reason.reason); no snapshot of \(image) was recorded",
      hint:
        "Check that its file system is mounted and healthy; to record this state all the same, "
        + "run 'imgstore snapshot \(word) --allow-empty'")
  }
}
