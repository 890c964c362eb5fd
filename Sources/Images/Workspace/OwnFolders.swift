// The store is never part of an image, and no command writes into it but as a store.

import Apply
import Ingest
import Platform
import Store

extension Workspace {
  /// The store's folder, by whatever path it is reached; nil where there is none yet.
  func storeIdentity() throws -> FileIdentity? {
    let path = Array(absolute(options.store).utf8)
    guard
      let stat = try fileSystem.statIfPresent(
        at: fileSystem.workingDirectory, path, followLink: true),
      stat.kind == .directory
    else { return nil }
    return FileIdentity(stat)
  }

  /// A capture that leaves the store out.
  func newCapture(_ resolver: PathResolver? = nil) throws -> Capture {
    Capture(resolver ?? self.resolver, store: try storeIdentity(), progress: progress)
  }

  /// Removes trees, but none that holds the store.
  func treeRemover() throws -> TreeRemover {
    TreeRemover(fileSystem, store: try store().layout.root)
  }

  /// Refuses a change that would write a piece into the store.
  /// - Throws: `ImageError`. Nothing has been changed then.
  func requireOutsideStore(_ paths: [AbsolutePath]) throws {
    var seen: Set<AbsolutePath> = []
    for path in paths where seen.insert(path.parent).inserted {
      var folder = path.parent
      var open: Descriptor?
      while open == nil {
        do throws(SystemError) {
          let place = try resolver.resolve(folder)
          open = try fileSystem.openDirectory(at: place.directory.raw, place.name)
        } catch {
          guard error.isAbsent, !folder.components.isEmpty else { throw error }
          folder = folder.parent
        }
      }
      if let open { try requireOutsideStore(open, path.text) }
    }
  }

  /// Refuses an output that would be written into, or over, a file or tree that it is made of.
  /// - Parameters:
  ///   - pieces: what it is made of, whether it is there or not.
  ///   - place: where it is to be written.
  ///   - object: the output, as the message names it.
  /// - Throws: `ImageError`. Nothing has been written then.
  func requireOutside(
    _ pieces: [AbsolutePath], _ place: ResolvedPath, _ object: String
  ) throws {
    let old = try fileSystem.statIfPresent(
      at: place.directory.raw, place.name, followLink: true
    ).map { FileIdentity($0) }
    for piece in pieces {
      guard let stat = try statLive(piece) else { continue }
      let isInside =
        stat.kind == .directory
        ? try fileSystem.isInside(place.directory, FileIdentity(stat)) : old == FileIdentity(stat)
      guard isInside else { continue }
      throw ImageError(
        object,
        stat.kind == .directory
          ? "lies in the tree \(piece.text) itself" : "is the image's own \(piece.text)",
        advice: "Nothing was written; name a place outside of the image")
    }
  }

  /// Refuses an output that would be written into the store.
  /// - Parameters:
  ///   - folder: the folder that the output is written into.
  ///   - object: the output, as the message names it.
  /// - Throws: `ImageError`. Nothing has been written then.
  func requireOutsideStore(_ folder: Descriptor, _ object: String) throws {
    guard let store = try storeIdentity(), try fileSystem.isInside(folder, store) else { return }
    throw ImageError(
      object, "lies in the store, where only the store's own files belong",
      advice: "Nothing was written; name a place outside of \(absolute(options.store))")
  }

  /// The same for an output that is named by its path.
  func requireOutsideStore(path: String, _ object: String) throws {
    if let folder = try openNearest(path) { try requireOutsideStore(folder, object) }
  }

  /// Opens the nearest folder at or above a path of this machine that exists.
  func openNearest(_ path: String) throws -> Descriptor? {
    var folder = absolute(path)
    while true {
      do throws(SystemError) {
        return try fileSystem.openDirectory(
          at: fileSystem.workingDirectory, Array(folder.utf8), followLink: true)
      } catch {
        guard error.isAbsent, folder != "/" else { return nil }
        folder = absolute(folder + "/..")
      }
    }
  }
}
