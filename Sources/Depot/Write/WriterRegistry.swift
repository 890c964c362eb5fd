// The objects in `writers/`: who may count on packs at present (invariants 3, 5 and 7 of `Depot`).

import Codec
import ObjectStorage
import Platform

/// A registered writer.
public struct RegisteredWriter: Sendable {
  public let id: WriterID
  /// Nil if the object is of a later version, or damaged.
  public let process: ProcessIdentity?

  /// The writer for messages: "writer 0123… (host mn1, process 1234)".
  public var description: String {
    let owner = process.map { " (host \($0.host), process \($0.process))" } ?? ""
    return "writer \(id)\(owner)"
  }
}

/// Registers writers and removes dead ones.
struct WriterRegistry: Sendable {
  let storage: any ObjectStorage
  let options: DepotOptions
  private static let maxWriters = 100_000
  private static let maxBytes = 4096

  /// Registers this process under a new id.
  func register() throws -> WriterID {
    let id = options.makeID()
    let text = options.process().text
    guard
      try storage.create(DepotKeys.writer(id), .bytes(Array(text.utf8)), isUnique: true)
    else {
      throw DepotError.damaged("writers/\(id)", of: storage.name, "exists, though its id is random")
    }
    return id
  }

  func isRegistered(_ id: WriterID) throws -> Bool {
    try storage.size(of: DepotKeys.writer(id)) != nil
  }

  /// Removes a registration. Collectors no longer wait for this writer.
  func remove(_ id: WriterID) throws { try storage.delete(DepotKeys.writer(id)) }

  /// Returns the ids of all registered writers.
  func ids() throws -> Set<WriterID> {
    var ids: Set<WriterID> = []
    try storage.list(DepotKeys.writers) { page in
      for object in page {
        guard let text = DepotKeys.rest(of: object.key, after: DepotKeys.writers),
          let id = WriterID(text)
        else { continue }
        ids.insert(id)
      }
      guard ids.count <= WriterRegistry.maxWriters else {
        throw DepotError.damaged("writers/", of: storage.name, "has more objects than any depot")
      }
      return true
    }
    return ids
  }

  /// Returns a registered writer; nil if its registration is gone.
  func writer(_ id: WriterID) throws -> RegisteredWriter? {
    do {
      let bytes = try storage.read(
        DepotKeys.writer(id), range: nil, limitBytes: WriterRegistry.maxBytes)
      return RegisteredWriter(id: id, process: ProcessIdentity(bytes))
    } catch {
      if error.isMissingObject { return nil }
      throw error
    }
  }

  /// Removes the registrations of processes of this host that have certainly ended.
  /// - Returns: the removed writers.
  func removeDead(among ids: Set<WriterID>) throws -> [RegisteredWriter] {
    let own = options.process()
    var removed: [RegisteredWriter] = []
    for id in ids.sorted() {
      guard let writer = try writer(id), let process = writer.process,
        own.knowsDead(process, options.fileSystem)
      else { continue }
      try remove(id)
      removed.append(writer)
    }
    return removed
  }
}

extension Depot {
  var writers: WriterRegistry { WriterRegistry(storage: storage, options: options) }

  /// Returns the writers that are registered at present.
  public func registeredWriters() throws -> [RegisteredWriter] {
    try writers.ids().sorted().compactMap { try writers.writer($0) }
  }

  /// Removes the registration of a writer that has ended, so that collections no longer wait for it.
  ///
  /// If the writer still runs, its push fails, or has to upload again. It never reports success then. A snapshot that
  /// it creates at that moment can stay without some of its objects if it is killed before it notices.
  /// - Returns: false if no writer has this id.
  public func evict(_ id: WriterID) throws -> Bool {
    guard try writers.isRegistered(id) else { return false }
    try writers.remove(id)
    return true
  }
}
