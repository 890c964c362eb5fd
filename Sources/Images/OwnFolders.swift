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

  /// Refuses an output that would be written into the tree that it is made of.
  /// - Throws: `ImageError`. Nothing has been written then.
  func requireOutside(_ tree: AbsolutePath, _ folder: Descriptor, _ object: String) throws {
    guard let stat = try statLive(tree), try fileSystem.isInside(folder, FileIdentity(stat)) else {
      return
    }
    throw ImageError(
      object, "lies in the tree \(tree.text) itself",
      advice: "Nothing was written; name a place outside of the tree")
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
    var folder = absolute(path)
    var open: Descriptor?
    while open == nil {
      do throws(SystemError) {
        open = try fileSystem.openDirectory(
          at: fileSystem.workingDirectory, Array(folder.utf8), followLink: true)
      } catch {
        guard error.isAbsent, folder != "/" else { return }
        folder = absolute(folder + "/..")
      }
    }
    if let open { try requireOutsideStore(open, object) }
  }
}
