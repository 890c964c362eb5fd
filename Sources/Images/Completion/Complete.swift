// Computes one completion (Completion.swift has the rules).

import Store

extension Workspace {
  /// Returns the candidates for the word at the cursor; none if the store or the tables cannot be read.
  /// - Parameter describes: whether to add summaries, which need the dates and messages of snapshots.
  public func completion(
    at point: CompletionPoint, _ tree: CommandTree, describes: Bool = false
  ) -> Completion {
    Completer(context).completion(at: point, tree, describes: describes)
  }
}

/// Completes words of command lines.
struct Completer: Collaborator {
  let context: Context

  func completion(
    at point: CompletionPoint, _ tree: CommandTree, describes: Bool = false
  ) -> Completion {
    let answer = point.staticCompletion(tree) ?? dynamicCompletion(point, describes: describes)
    guard case .candidates(let candidates) = answer.source else { return answer }
    // A damaged store can have names that end a line or control the terminal.
    let harmless = candidates.limited().filter { !$0.text.holdsControlCharacters }
    return Completion(kept: answer.kept, .candidates(harmless))
  }

  private func dynamicCompletion(_ point: CompletionPoint, describes: Bool) -> Completion {
    guard case .value(let kind) = point.kind else { return .none }
    let word = point.word
    let store = try? UnlockedStore(
      context.fileSystem, path: context.storePath, owner: context.options.storeOwner)
    let source = CompletionSource(
      store: store,
      tables: (try? TableLocator(context).unlockedTables(hasStore: store != nil)) ?? nil,
      describes: describes)
    let reference = point.snapshotOperand
    let candidates: [CompletionCandidate]
    switch kind {
    case .image, .imageOrDirectory: candidates = source.images(word, isFinished: true)
    case .snapshot: candidates = source.snapshots(word)
    case .state: candidates = source.snapshots(word, live: true, paths: true)
    case .entry:
      // "cat REF PATH…": behind a snapshot, a word may also be a path in it.
      let isBehind = point.operands.contains { $0.kind == .entry }
      let paths = isBehind ? source.paths(word, of: reference ?? "") : []
      candidates = paths + source.snapshots(word, paths: true)
    case .taggedSnapshot: candidates = source.snapshots(word, tagsOnly: true)
    case .path: candidates = source.paths(word, of: reference ?? "")
    case .tag: candidates = source.tags(word, of: reference ?? "")
    case .remote:
      candidates = RemoteRegistry(context).names(store).map { CompletionCandidate($0) }
    case .component: candidates = source.components(word, of: reference)
    case .assignment:
      return CompletionSource.assignments(word, given: point.operands.map(\.text))
    case .command, .file, .directory, .oneOf, .free: return .none
    }
    return Completion(kept: point.kept, .candidates(candidates))
  }
}

extension CompletionPoint {
  /// The first operand that names an image or a snapshot, without its path.
  fileprivate var snapshotOperand: String? {
    operands.first { operand in
      switch operand.kind {
      case .image, .snapshot, .state, .entry, .taggedSnapshot, .imageOrDirectory: true
      default: false
      }
    }.map { operand in
      guard let path = (try? PathReference(operand.text))?.path else { return operand.text }
      return String(operand.text.dropLast(path.count + 1))
    }
  }
}
