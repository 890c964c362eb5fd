// Refuses a change while a file system that belongs on a directory of the image is not mounted. The change
// would otherwise fill the directory below the mount point.

import Platform
import Store

/// Notices file systems that are not mounted.
struct MountedDirectories: Collaborator {
  let context: Context

  /// Refuses a change of an image while a file system that its snapshots recorded as mounted is not mounted.
  ///
  /// An empty directory that was a mount point and is none now lacks its file system. A directory with
  /// entries has another use by now, and a missing one cannot hide anything.
  /// - Parameter notes: the notes of the snapshots that the change is based on.
  /// - Throws: `ImageError`; nothing has been changed.
  func requireMounted(_ notes: [Snapshot.Note], image: String) throws {
    var seen: Set<[UInt8]> = []
    for note in notes where note.kind == .mountedFolder && seen.insert(note.path).inserted {
      guard let path = AbsolutePath(note.path), try hasNoEntries(path) else { continue }
      throw ImageError(
        .filesMissing,
        "image \(image)",
        "has an empty directory \(path.text), where a file system was mounted before",
        hint:
          "Nothing was changed; mount it again, or remove the empty directory if the image no longer "
          + "needs it")
    }
  }

  /// Returns the notes of an image's latest snapshot; none if it has no snapshot.
  func mountNotes(of image: ImageName) throws -> [Snapshot.Note] {
    try context.store().refs.latestReadable(of: image)?.snapshot.notes ?? []
  }

  /// Refuses a change if the mounts in a tree cannot be determined.
  /// - Throws: `ImageError`; nothing has been changed.
  func requireKnownMounts(_ notes: [Snapshot.Note]) throws {
    guard let note = notes.first(where: { $0.kind == .unknownMounts }) else { return }
    throw ImageError(
      printable(note.path),
      "may contain mounts that cannot be found: this kernel's statx does not report them, and "
        + "/proc/self/mountinfo cannot be read",
      hint: "Nothing was changed; mount /proc and run the command again")
  }

  /// Returns whether a path is an existing, empty directory that is not a mount point.
  private func hasNoEntries(_ path: AbsolutePath) throws -> Bool {
    do throws(SystemError) {
      let located = try context.resolver.locate(path)
      guard !located.mountedDirectories.contains(located.path) else { return false }
      let location = located.location
      let directory = try context.fileSystem.openDirectory(
        at: location.directory.raw, location.name)
      return try context.fileSystem.names(of: directory.raw).isEmpty
    } catch {
      if error.isAbsent || error.code == .loop { return false }
      throw error
    }
  }
}
