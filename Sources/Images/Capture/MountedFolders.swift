// File systems that are mounted on a folder of an image, and that are away. A change would then fill the
// folder below: it is refused before it begins.

import Platform
import Store

extension Workspace {
  /// Refuses a change of an image while a file system that its snapshots saw mounted is away.
  ///
  /// A folder that was a mount point, is none now, and is empty is a mount point whose file system is
  /// away. A folder with entries has been put to another use; one that is gone cannot hide anything.
  /// - Parameter notes: of the snapshots that the change goes by.
  /// - Throws: `ImageError`. Nothing has been changed then.
  func requireMounted(_ notes: [Snapshot.Note], image: String) throws {
    var seen: Set<[UInt8]> = []
    for note in notes where note.kind == .mountedFolder && seen.insert(note.path).inserted {
      guard let path = AbsolutePath(note.path), try isEmptyFolder(path) else { continue }
      throw ImageError(
        "image \(image)",
        "the file system that was mounted on \(path.text) is away: the folder is empty",
        advice:
          "Nothing was changed; mount it again, or remove the empty folder if the image shall "
          + "live without it")
    }
  }

  /// The notes of an image's latest snapshot; none where it has no snapshot.
  func mountNotes(of image: ImageName) throws -> [Snapshot.Note] {
    try store().refs.latestReadable(of: image)?.snapshot.notes ?? []
  }

  /// Refuses a change where nothing tells what is mounted in a tree.
  /// - Throws: `ImageError`. Nothing has been changed then.
  func requireKnownMounts(_ notes: [Snapshot.Note]) throws {
    guard let note = notes.first(where: { $0.kind == .unknownMounts }) else { return }
    throw ImageError(
      printable(note.path),
      "nothing tells what is mounted below: this kernel's statx does not, and "
        + "/proc/self/mountinfo cannot be read",
      advice: "Nothing was changed; mount /proc and run the command again")
  }

  /// A folder that is there, that nothing is mounted on, and that is empty.
  private func isEmptyFolder(_ path: AbsolutePath) throws -> Bool {
    do throws(SystemError) {
      let located = try resolver.locate(path)
      guard !located.mountedFolders.contains(located.path) else { return false }
      let place = located.place
      let folder = try fileSystem.openDirectory(at: place.directory.raw, place.name)
      return try fileSystem.names(of: folder.raw).isEmpty
    } catch {
      if error.isAbsent || error.code == .loop { return false }
      throw error
    }
  }
}
