// What lists include, and what synclists send.

import Platform

extension DependencyCollector {
  static let maxDepth = 64

  // MARK: Includes

  /// - Parameter folders: where relative names may be meant from.
  mutating func collectIncludes(
    of top: AbsolutePath, _ dialect: ListDialect, folders: [AbsolutePath], why: String
  ) {
    var visited: Set<AbsolutePath> = []
    collectIncludes(of: [top], dialect, folders: folders, why: why, &visited)
  }

  /// - Parameter chain: the files from the top one to the one to read.
  private mutating func collectIncludes(
    of chain: [AbsolutePath], _ dialect: ListDialect, folders: [AbsolutePath], why: String,
    _ visited: inout Set<AbsolutePath>
  ) {
    guard let file = chain.last, visited.insert(file).inserted else { return }
    guard chain.count <= Self.maxDepth else {
      report(
        .tooMuch, file.text, "it is included over more than \(Self.maxDepth) other lists",
        advice: "Let the image's list include it directly")
      return
    }
    guard let text = content(of: file, why: why) else { return }
    let why = "list \(file.text)"
    let includes = IncludeTags.includes(in: text, dialect, variables: variables)
    for line in includes.unresolvedLines {
      reportVariable(in: line, why: why)
    }
    for name in includes.names {
      for path in targets(of: name, dialect, folders: folders, why: why) {
        if let start = chain.firstIndex(of: path) {
          report(
            .cycle, path.text,
            "it includes itself: "
              + (chain[start...] + [path]).map(\.text).joined(separator: " -> "),
            advice: "Take one of these #INCLUDE lines out: xCAT would read them without end")
          continue
        }
        // A folder here is a mistake, and not one to carry along with all that is in it.
        guard let kind = kind(of: path, why: why) else { continue }
        guard kind == .file else {
          reportMissing(path, why: why, isDirectory: kind == .directory)
          continue
        }
        add(path, isDirectory: false, .include, why: why)
        collectIncludes(of: chain + [path], dialect, folders: folders, why: why, &visited)
      }
    }
  }

  /// The files that a name means; the first candidate where none is there.
  private mutating func targets(
    of name: [UInt8], _ dialect: ListDialect, folders: [AbsolutePath], why: String
  ) -> [AbsolutePath] {
    var candidates: [AbsolutePath] = []
    for path in folders.compactMap({ IncludeTags.resolve(name, from: $0) })
    where !candidates.contains(path) {
      candidates.append(path)
    }
    if candidates.isEmpty {
      report(.unresolved, why, "it includes '\(printable(name))', which can be no path")
    }
    let found = candidates.filter { ((try? view.kind($0)) ?? .file) != .absent }
    if found.isEmpty, dialect != .excludes, name.contains(UInt8(ascii: "$")) {
      reportVariable(in: name, why: why)
      return []
    }
    return found.isEmpty ? Array(candidates.prefix(1)) : found
  }

  private mutating func reportVariable(in name: [UInt8], why: String) {
    report(
      .unresolved, why, "it includes '\(printable(name))', with a variable that is not known here",
      advice: "Set the variable in the image's attribute environvar, or name the file itself")
  }

  // MARK: Synclists

  mutating func collectSources(ofSynclist path: AbsolutePath) {
    guard let text = content(of: path, why: "attribute synclists") else { return }
    let list = Synclist(text, variables: variables)
    for line in list.ignoredLines {
      report(
        .ignored, path.text, "xCAT ignores line \(line), which is no entry and no clause",
        advice: "Write it as 'source -> target', with a blank on both sides of the arrow")
    }
    for source in list.sources {
      let why = "synclist \(path.text) line \(source.line)"
      let role: Dependency.Role =
        switch source.clause {
        case .execute, .executeAlways: .syncScript
        case .append, .merge, nil: .syncSource
        }
      guard source.path.first == UInt8(ascii: "/"), let sourcePath = AbsolutePath(source.path)
      else {
        report(
          .unresolved, why, "'\(printable(source.path))' is not a clean absolute path",
          advice: "Name the file by its absolute path, without '..'")
        continue
      }
      if role == .syncScript || sourcePath.components.allSatisfy({ BytePattern($0).isLiteral }) {
        need(sourcePath, role, why: why)
      } else {
        expand(sourcePath, role, why: why + ": \(sourcePath.text)")
      }
    }
  }

  /// Lists what a path with wildcards means to a shell: '*' stays within a component, and a leading
  /// '.' is matched by a '.' only.
  private mutating func expand(_ path: AbsolutePath, _ role: Dependency.Role, why: String) {
    var found = [AbsolutePath(components: [])]
    for (index, component) in path.components.enumerated() {
      let pattern = BytePattern(component)
      if pattern.isLiteral {
        found = found.map { $0.appending(pattern.literalPrefix) }
        continue
      }
      found = found.flatMap { matches(pattern, component, in: $0, why: why) }
      if found.isEmpty {
        let folder = AbsolutePath(components: Array(path.components[..<index]))
        report(
          .missing, folder.text, "nothing in it matches '\(printable(component))', named by \(why)",
          advice: "Put the files there, or take the line out")
        return
      }
      guard found.count <= Self.maxNeeded else {
        report(
          .tooMuch, path.text, "it means more than \(Self.maxNeeded) files",
          advice: "Name a folder instead, in \(why)")
        return
      }
    }
    // After a wildcard's folders, a literal name may lack in some.
    let present = found.filter { kind(of: $0, why: why) ?? .absent != .absent }
    if present.isEmpty { reportMissing(path, why: why) }
    for path in present { need(path, role, why: why) }
  }

  private mutating func matches(
    _ pattern: BytePattern, _ component: [UInt8], in folder: AbsolutePath, why: String
  ) -> [AbsolutePath] {
    do {
      guard try view.kind(folder) == .directory else { return [] }
      let dot = UInt8(ascii: ".")
      return try view.list(folder)
        .filter { ($0.first != dot || component.first == dot) && pattern.matches($0) }
        .sorted { $0.lexicographicallyPrecedes($1) }
        .map { AbsolutePath(components: folder.components + [$0]) }
    } catch {
      reportUnreadable(folder, why: why, error)
      return []
    }
  }
}
