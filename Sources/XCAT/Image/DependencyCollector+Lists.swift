// Collects the includes of lists, and the sources of synclists.

import Platform

extension DependencyCollector {
  static let maxDepth = 64

  // MARK: Includes

  /// Collects the includes of one list.
  /// - Parameter directories: the directories that relative names may be relative to.
  mutating func collectIncludes(
    of top: AbsolutePath, _ dialect: ListDialect, directories: [AbsolutePath], referrer: String
  ) {
    var visited: Set<AbsolutePath> = []
    collectIncludes(of: [top], dialect, directories: directories, referrer: referrer, &visited)
  }

  /// Collects the includes of the last file of a chain.
  /// - Parameter chain: the files from the top one to the one to read.
  private mutating func collectIncludes(
    of chain: [AbsolutePath], _ dialect: ListDialect, directories: [AbsolutePath], referrer: String,
    _ visited: inout Set<AbsolutePath>
  ) {
    guard let file = chain.last, visited.insert(file).inserted else { return }
    guard chain.count <= Self.maxDepth else {
      report(
        .tooMuch, file.text, "it is included over more than \(Self.maxDepth) other lists",
        hint: "Let the image's list include it directly")
      return
    }
    guard let text = content(of: file, referrer: referrer) else { return }
    let referrer = "list \(file.text)"
    let includes = IncludeTags.includes(in: text, dialect, variables: variables)
    for line in includes.unresolvedLines {
      reportVariable(in: line, referrer: referrer)
    }
    for name in includes.names {
      for path in targets(of: name, dialect, directories: directories, referrer: referrer) {
        if let start = chain.firstIndex(of: path) {
          report(
            .cycle, path.text,
            "it includes itself: "
              + (chain[start...] + [path]).map(\.text).joined(separator: " -> "),
            hint: "Remove one of these #INCLUDE lines: xCAT would read them without end")
          continue
        }
        // A directory here is an error, and must not be carried with all its content.
        guard let kind = kind(of: path, referrer: referrer) else { continue }
        guard kind == .file else {
          reportMissing(path, referrer: referrer, isDirectory: kind == .directory)
          continue
        }
        add(path, isDirectory: false, .include, referrer: referrer)
        collectIncludes(
          of: chain + [path], dialect, directories: directories, referrer: referrer, &visited)
      }
    }
  }

  /// Returns the existing files that a name may mean; the first candidate if none exists.
  private mutating func targets(
    of name: [UInt8], _ dialect: ListDialect, directories: [AbsolutePath], referrer: String
  ) -> [AbsolutePath] {
    var candidates: [AbsolutePath] = []
    for path in directories.compactMap({ IncludeTags.resolve(name, from: $0) })
    where !candidates.contains(path) {
      candidates.append(path)
    }
    if candidates.isEmpty {
      report(.unresolved, referrer, "it includes '\(printable(name))', which cannot be a path")
    }
    let existing = candidates.filter { ((try? view.kind($0)) ?? .file) != .absent }
    if existing.isEmpty, dialect != .excludes, name.contains(UInt8(ascii: "$")) {
      reportVariable(in: name, referrer: referrer)
      return []
    }
    return existing.isEmpty ? Array(candidates.prefix(1)) : existing
  }

  private mutating func reportVariable(in name: [UInt8], referrer: String) {
    report(
      .unresolved, referrer, "it includes '\(printable(name))', with an unknown variable",
      hint: "Set the variable in the image's attribute environvar, or name the file itself")
  }

  // MARK: Synclists

  mutating func collectSources(ofSynclist path: AbsolutePath) {
    guard let text = content(of: path, referrer: "attribute synclists") else { return }
    let list = Synclist(text, variables: variables)
    for line in list.ignoredLines {
      report(
        .ignored, path.text, "xCAT ignores line \(line), which is neither an entry nor a clause",
        hint: "Write it as 'source -> target', with a blank on both sides of the arrow")
    }
    for source in list.sources {
      let referrer = "synclist \(path.text) line \(source.line)"
      let role: Dependency.Role =
        switch source.clause {
        case .execute, .executeAlways: .syncScript
        case .append, .merge, nil: .syncSource
        }
      guard source.path.first == UInt8(ascii: "/"), let sourcePath = AbsolutePath(source.path)
      else {
        report(
          .unresolved, referrer, "'\(printable(source.path))' is not a clean absolute path",
          hint: "Name the file by its absolute path, without '..'")
        continue
      }
      if role == .syncScript || sourcePath.components.allSatisfy({ BytePattern($0).isLiteral }) {
        need(sourcePath, role, referrer: referrer)
      } else {
        expand(sourcePath, role, referrer: referrer + ": \(sourcePath.text)")
      }
    }
  }

  /// Collects the paths that a shell would expand wildcards to: '*' stays within a component, and only
  /// a '.' matches a leading '.'.
  private mutating func expand(_ path: AbsolutePath, _ role: Dependency.Role, referrer: String) {
    var paths = [AbsolutePath(components: [])]
    for (index, component) in path.components.enumerated() {
      let pattern = BytePattern(component)
      if pattern.isLiteral {
        paths = paths.map { $0.appending(pattern.literalPrefix) }
        continue
      }
      paths = paths.flatMap { matches(pattern, component, in: $0, referrer: referrer) }
      if paths.isEmpty {
        let directory = AbsolutePath(components: Array(path.components[..<index]))
        report(
          .missing, directory.text,
          "nothing in it matches '\(printable(component))', named by \(referrer)",
          hint: "Add the files, or remove the line")
        return
      }
      guard paths.count <= Self.maxNeeded else {
        report(
          .tooMuch, path.text, "it matches more than \(Self.maxNeeded) files",
          hint: "Name a directory instead, in \(referrer)")
        return
      }
    }
    // A literal name after a wildcard may be missing in some directories.
    let present = paths.filter { kind(of: $0, referrer: referrer) ?? .absent != .absent }
    if present.isEmpty { reportMissing(path, referrer: referrer) }
    for path in present { need(path, role, referrer: referrer) }
  }

  private mutating func matches(
    _ pattern: BytePattern, _ component: [UInt8], in directory: AbsolutePath, referrer: String
  ) -> [AbsolutePath] {
    do {
      guard try view.kind(directory) == .directory else { return [] }
      let dot = UInt8(ascii: ".")
      return try view.list(directory)
        .filter { ($0.first != dot || component.first == dot) && pattern.matches($0) }
        .sorted { $0.lexicographicallyPrecedes($1) }
        .map { AbsolutePath(components: directory.components + [$0]) }
    } catch {
      reportUnreadable(directory, referrer: referrer, error)
      return []
    }
  }
}
