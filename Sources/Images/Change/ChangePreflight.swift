// Looks for obstacles that would interrupt a change, before its journal is written. If there is one, nothing
// has been changed, and nothing must be resumed.

import Glibc
import Ingest
import Platform
import Store

/// Looks for obstacles before a change.
struct ChangePreflight: Collaborator {
  let context: Context

  /// Checks that nothing known would interrupt the plans.
  /// - Throws: `ImageError` with the path and the obstacle; nothing has been changed.
  func preflight(_ plans: [ComponentPlan]) throws {
    var requirements: [UInt64: SpaceRequirement] = [:]
    for component in plans where !component.isEmpty || component.staging != nil {
      guard let directory = try existingDirectory(above: component.path) else { continue }
      try requireWritable(directory.file, directory.path)
      if component.changesTopName { try requireChangeable(directory.file, directory.path) }
      let tree = try openTree(component)
      if let tree { try requireWritable(tree, component.path) }
      try requireFlagsCanChange(component, tree ?? directory.file)
      if let tree { try requireWritableSubvolumes(component, tree) }
      let file = component.staging == nil ? tree ?? directory.file : directory.file
      let device = try context.fileSystem.stat(file.raw).device
      requirements[device, default: SpaceRequirement(file: file, path: component.path)].add(
        component)
    }
    for need in requirements.values { try requireSpace(need) }
  }

  /// Returns the nearest existing directory above a path, links followed.
  private func existingDirectory(
    above path: AbsolutePath
  ) throws -> (file: Descriptor, path: AbsolutePath)? {
    var directory = path.parent
    while true {
      do throws(SystemError) {
        if directory.components.isEmpty { return (context.resolver.root, directory) }
        let location = try context.resolver.resolve(directory)
        return (
          try context.fileSystem.openDirectory(at: location.directory.raw, location.name), directory
        )
      } catch {
        guard error.isAbsent || error.code == .loop, !directory.isRoot else {
          return nil
        }
        directory = directory.parent
      }
    }
  }

  private func openTree(_ component: ComponentPlan) throws -> Descriptor? {
    guard component.current?.kind == .directory else { return nil }
    do throws(SystemError) {
      let location = try context.resolver.resolve(component.path)
      return try context.fileSystem.openDirectory(at: location.directory.raw, location.name)
    } catch {
      if error.isAbsent || error.code == .loop { return nil }
      throw error
    }
  }

  // MARK: File systems and directories

  private func requireWritable(_ file: Descriptor, _ path: AbsolutePath) throws {
    guard try context.fileSystem.volume(of: file.raw).isReadOnly else { return }
    throw ImageError(
      .readOnly,
      path.text, "is on a file system that is mounted read-only",
      hint: "Nothing was changed; mount it writable, and run the command again")
  }

  /// Refuses to change read-only btrfs subvolumes. They are read-only even on a writable mount.
  private func requireWritableSubvolumes(_ component: ComponentPlan, _ tree: Descriptor) throws {
    guard try context.fileSystem.volume(of: tree.raw).isBtrfs, let observed = component.observed
    else {
      return
    }
    var subvolumes: [RelativePath] = []
    try observed.forEachEntry { stat, path in
      if stat.kind == .directory, stat.inode == Volume.btrfsSubvolumeInode {
        subvolumes.append(path())
      }
    }
    for subvolume in subvolumes where component.plan.changes(within: subvolume) {
      var directory = tree
      for name in subvolume.components {
        directory = try context.fileSystem.openDirectory(at: directory.raw, name)
      }
      guard context.fileSystem.isInReadOnlySubvolume(directory.raw) else { continue }
      let path = component.path.appending(subvolume).text
      throw ImageError(
        .readOnly,
        path, "is a read-only btrfs subvolume",
        hint: "Nothing was changed; 'btrfs property set \(path) ro false' makes it writable")
    }
  }

  /// Checks that names in a directory outside the image can change without a change of its flags.
  private func requireChangeable(_ directory: Descriptor, _ path: AbsolutePath) throws {
    let stat = try context.fileSystem.stat(directory.raw)
    let flags = stat.flags.intersection(.protecting)
    guard flags.isEmpty else {
      throw ImageError(
        .accessDenied,
        path.text, "has the flag \(flags.letters), so its entries cannot be replaced",
        hint: "Nothing was changed; clear the flag with 'chattr -\(flags.letters) \(path.text)'")
    }
    do throws(SystemError) {
      _ = try context.fileSystem.openFile(
        at: directory.raw, [0x2e], [.write, .nameless], mode: 0o600)
    } catch {
      guard [.accessDenied, .notPermitted, .readOnly].contains(error.code) else { return }
      throw ImageError(
        .accessDenied,
        path.text, "does not allow new entries: \(error.code)",
        hint: "Nothing was changed. " + error.hint)
    }
  }

  // MARK: Flags

  /// Checks that the process may remove protecting flags from the entries that will change.
  private func requireFlagsCanChange(_ component: ComponentPlan, _ directory: Descriptor) throws {
    guard let (path, flags) = try component.firstProtected(), !canChangeFlags(in: directory) else {
      return
    }
    throw ImageError(
      .accessDenied,
      component.path.appending(path).text,
      "has the flag \(flags.letters), but must be changed",
      hint: "Nothing was changed; it takes the capability CAP_LINUX_IMMUTABLE, or 'chattr "
        + "-\(flags.letters)' by somebody who has it")
  }

  private func canChangeFlags(in directory: Descriptor) -> Bool {
    guard
      let file = try? context.fileSystem.openFile(
        at: directory.raw, [0x2e], [.write, .nameless], mode: 0o600),
      (try? context.fileSystem.setInodeFlags(file.raw, .immutable)) != nil
    else { return false }
    try? context.fileSystem.setInodeFlags(file.raw, [])
    return true
  }

  // MARK: Space

  /// The bytes and inodes that plans need on one file system.
  private struct SpaceRequirement {
    let file: Descriptor
    let path: AbsolutePath
    var growthBytes: Int64 = 0
    var growthEntries: Int64 = 0

    init(file: Descriptor, path: AbsolutePath) {
      self.file = file
      self.path = path
    }

    mutating func add(_ component: ComponentPlan) {
      if let staging = component.staging {
        // The old tree is removed after the new one is complete. Sharing of blocks is determined later.
        growthBytes &+= Int64(clamping: staging.writtenBytes(canClone: true, canLink: true))
        growthEntries &+= Int64(staging.directories.count)
        return
      }
      for step in component.plan.files {
        // The size of a sparse file's data is only in its hole map.
        if step.entry.holes == nil, case .write = step.action {
          growthBytes &+= Int64(clamping: step.entry.sizeBytes)
        }
        growthBytes &-= SpaceRequirement.freed(step.old, step.seen)
        if step.old == nil { growthEntries &+= 1 }
      }
      for step in component.plan.removals {
        growthBytes &-= SpaceRequirement.freed(step.old, step.seen)
        if (step.seen?.links ?? 1) <= 1 || step.entry.kind == .directory { growthEntries &-= 1 }
      }
      growthEntries &+= Int64(component.plan.directories.count)
    }

    private static func freed(_ old: Entry?, _ seen: FileStat?) -> Int64 {
      guard let old, old.kind == .file, (seen?.links ?? 1) <= 1 else { return 0 }
      return Int64(clamping: old.sizeBytes)
    }
  }

  private func requireSpace(_ need: SpaceRequirement) throws {
    try requireSpace(
      bytes: need.growthBytes, entries: need.growthEntries, on: need.file, need.path.text)
  }

  /// Checks that a file system has enough free bytes and inodes.
  /// - Parameters:
  ///   - bytes: the minimum number of additional bytes.
  ///   - entries: the minimum number of additional inodes.
  ///   - file: a file on that file system.
  /// - Throws: `ImageError` if there is not enough space.
  func requireSpace(
    bytes: Int64, entries: Int64, on file: Descriptor, _ path: String
  ) throws {
    // A file system that compresses needs less than the size of the files, by an unknown amount.
    let compressing: Set<UInt64> = [0x9123_683E, 0x2FC1_2FC1, 0xF2F5_2010, 0xCA45_1A4E]
    let volume = try context.fileSystem.volume(of: file.raw)
    guard !compressing.contains(volume.type), volume.isSized else { return }
    let freeBytes = Int64(clamping: try context.fileSystem.freeBytes(file.raw))
    guard bytes <= freeBytes else {
      throw ImageError(
        .noSpace,
        path,
        "is on a file system without enough free space: \(bytes) bytes are needed, \(freeBytes) are "
          + "free",
        hint: "Nothing was changed; make room there, and run the command again")
    }
    let freeNodes = Int64(clamping: try context.fileSystem.freeNodes(file.raw))
    guard entries <= freeNodes else {
      throw ImageError(
        .noSpace,
        path,
        "is on a file system without enough free inodes: \(entries) are needed, \(freeNodes) are "
          + "free",
        hint: "Nothing was changed; remove files there, and run the command again")
    }
  }
}

extension ComponentPlan {
  /// Whether the name of the component itself is created, replaced or removed.
  var changesTopName: Bool {
    if staging != nil || standby != nil { return true }
    let lists = [plan.removals, plan.directories, plan.files, plan.links]
    return lists.contains { $0.contains { $0.path.isTop } }
  }

  /// The first entry with protecting flags that the change would replace, remove or alter.
  func firstProtected() throws -> (path: RelativePath, flags: InodeFlags)? {
    if staging != nil { return try observed?.firstProtected() }
    for steps in [plan.removals, plan.files, plan.links, plan.attributes, plan.finished] {
      for step in steps {
        let flags = (step.seen?.flags ?? []).intersection(.protecting)
        if !flags.isEmpty {
          return (step.path, flags)
        }
      }
    }
    return nil
  }
}

extension CapturedComponent {
  /// Returns the first entry with protecting flags.
  func firstProtected() throws -> (path: RelativePath, flags: InodeFlags)? {
    var found: (path: RelativePath, flags: InodeFlags)?
    try forEachEntry { stat, path in
      let flags = stat.flags.intersection(.protecting)
      if found == nil, !flags.isEmpty { found = (path(), flags) }
    }
    return found
  }
}
