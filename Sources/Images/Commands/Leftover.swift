// What a change made under names of its own.

import Apply
import Platform
import Store

extension Workspace {
  /// Something that a change made under a name of its own, and that cannot be removed.
  struct Leftover {
    let problem: ApplyProblem
    /// A file system is mounted in it: unmounting is the way, never removing.
    let isMounted: Bool
  }

  /// Removes what the change made under names of its own, beside the image's files and trees. (What
  /// it made inside trees the plan removes, as all that is extra.)
  /// - Returns: what could not be removed.
  func removeLeftovers(
    _ image: ImageName, _ journal: Journal
  ) throws -> [Leftover] {
    let prefix = Journal.prefix(journal.token)
    let ends = [journal.target, journal.before].compactMap { $0 }
      .compactMap { try? snapshot($0, of: image)?.snapshot }
    var folders: Set<AbsolutePath> = []
    var leftovers: [Leftover] = []
    for path in ends.flatMap({ $0.requests + $0.absentPathRequests }).map(\.path)
    where folders.insert(path.parent).inserted {
      do {
        let place = try locate(path)
        for name in try fileSystem.names(of: place.directory.raw) where name.starts(with: prefix) {
          if let leftover = removeLeftover(place.directory, name, in: path.parent) {
            leftovers.append(leftover)
          }
        }
      } catch {
        if !error.isAbsent {
          leftovers.append(
            Leftover(problem: ApplyProblem(path: path.bytes, what: error.finding), isMounted: false)
          )
        }
      }
    }
    return leftovers
  }

  private func removeLeftover(
    _ directory: Descriptor, _ name: [UInt8], in folder: AbsolutePath
  ) -> Leftover? {
    let path = folder.bytes + [0x2f] + name
    let leftover = ResolvedPath(directory: directory, name: name)
    if let mount = TreeBusyCheck.mounts(in: realPath(leftover)).first {
      let what = "is left from the change, and something is mounted on \(printable(mount.point))"
      return Leftover(problem: ApplyProblem(path: path, what: what), isMounted: true)
    }
    do {
      try treeRemover().remove(at: directory.raw, name)
      return nil
    } catch {
      let why = (error as? any ExplainedError)?.finding ?? "\(error)"
      return Leftover(
        problem: ApplyProblem(path: path, what: "is left from the change: \(why)"),
        isMounted: false)
    }
  }
}
