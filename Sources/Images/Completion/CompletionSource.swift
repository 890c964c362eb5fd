// Reads candidates from the store and from xCAT's tables without locks (UnlockedStore, `unlockedTables`). It
// reads as little as possible: listings of directories, and refs only of snapshots with a displayed summary.

import Platform
import Store
import XCAT

/// Reads the candidates of one completion.
final class CompletionSource {
  let store: UnlockedStore?
  private let tables: ImageTables?
  /// Whether the shell displays summaries.
  private let describes: Bool

  init(store: UnlockedStore?, tables: ImageTables?, describes: Bool) {
    self.store = store
    self.tables = tables
    self.describes = describes
  }

  // MARK: Images

  /// The images with snapshots or a definition, sorted by name.
  private lazy var images: [String] = {
    // The directory of a defined image need not be listed: the image may have no snapshots.
    let stored = ((try? store?.refs.everyImage()) ?? []).filter { image in
      profiles[image.text] != nil || (try? store?.refs.numbers(of: image).isEmpty) == false
    }
    return Set(stored.map(\.text)).union(profiles.keys).sorted()
  }()

  /// The profiles of the defined images.
  private lazy var profiles: [String: String] = {
    let directories = (try? tables?.rows(TableSchema.directory.name)) ?? []
    let rows = ((try? tables?.rows(TableSchema.osimage.name)) ?? []) + directories
    let named = rows.compactMap { row in row["imagename"].map { ($0, row["profile"] ?? "") } }
    return Dictionary(named) { first, _ in first }
  }()

  /// Returns the image for a text, as `Workspace.image(named:)` finds it, and the numbers of its snapshots.
  /// The text is the image's name, its profile, a unique part of its name, or empty for the only image.
  private func history(_ text: String) -> (image: ImageName, numbers: [Int])? {
    guard let store else { return nil }
    if let image = try? ImageName(text), let numbers = try? store.refs.numbers(of: image),
      !numbers.isEmpty
    {
      return (image, numbers)
    }
    guard let name = meant(by: text, images), let image = try? ImageName(name) else { return nil }
    return (image, (try? store.refs.numbers(of: image)) ?? [])
  }

  private func meant(by text: String, _ images: [String]) -> String? {
    if images.contains(text) { return text }
    if text.isEmpty { return images.count == 1 ? images.first : nil }
    let byProfile = profiles.filter { $0.value == text }.map(\.key)
    let byPart = text.utf8.count < 3 ? [] : images.filter { $0.contains(text) }
    let candidates = byProfile.isEmpty ? byPart : byProfile
    return candidates.count == 1 ? candidates.first : nil
  }

  /// Returns the images whose names start with a text.
  /// - Parameter isFinished: whether neither "@" nor ":" can follow the name.
  func images(_ word: String, isFinished: Bool) -> [CompletionCandidate] {
    let all = images
    var names = all.filter { $0.hasPrefix(word) }
    // The full name replaces a unique part of it.
    if names.isEmpty, let only = meant(by: word, all), !word.isEmpty { names = [only] }
    return names.map { CompletionCandidate($0, isFinished: isFinished) }
  }

  // MARK: Snapshots

  /// Returns references that start with a text: IMAGE, IMAGE@SELECTOR and, with `paths`, IMAGE@SELECTOR:PATH.
  func snapshots(
    _ word: String, live: Bool = false, paths: Bool = false, tagsOnly: Bool = false
  ) -> [CompletionCandidate] {
    if paths, let path = (try? PathReference(word))?.path {
      return self.paths(path, of: String(word.dropLast(path.count + 1))).map { candidate in
        var candidate = candidate
        candidate.text = word.dropLast(path.count) + candidate.text
        return candidate
      }
    }
    guard let at = word.firstIndex(of: "@") else {
      let names = images(word, isFinished: false)
      guard names.contains(where: { $0.text == word }) else { return names }
      // The name is complete; "@" or ":" can follow.
      return names + [CompletionCandidate(word + "@", isFinished: false)]
        + (paths ? [CompletionCandidate(word + ":", isFinished: false)] : [])
    }
    guard let store, let (image, all) = history(String(word[..<at])) else { return [] }
    let front = word[...at]
    let selector = String(word[word.index(after: at)...])
    let tags = (try? store.refs.tags(of: image)) ?? [:]
    let numbers = tagsOnly ? [] : all
    var found: [(text: String, number: Int?)] =
      tags.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    found += numbers.reversed().map { ("\($0)", $0) }
    if !tagsOnly { found += words(selector, numbers, live: live) }
    found.removeAll { !$0.text.hasPrefix(selector) }
    let isDescribed = describes && found.count <= Completion.maxDescribed
    return found.map { text, number in
      CompletionCandidate(
        front + text,
        summary: isDescribed
          ? number.map { summary(image, $0, isTag: text != "\($0)") } ?? "" : "",
        isFinished: !paths)
    }
  }

  /// Returns the selectors that are neither numbers nor tags. For an empty selector it is only "live".
  private func words(
    _ selector: String, _ numbers: [Int], live: Bool
  ) -> [(text: String, number: Int?)] {
    var words: [(text: String, number: Int?)] = live ? [("live", nil)] : []
    if selector.isEmpty || numbers.isEmpty { return words }
    words += [("today", nil), ("yesterday", nil)]
    for back in 0..<min(10, numbers.count) {
      words.append(("~\(back)", numbers[numbers.count - 1 - back]))
    }
    return words
  }

  private func summary(_ image: ImageName, _ number: Int, isTag: Bool) -> String {
    guard let snapshot = try? store?.refs.readIfPresent(image, number)?.snapshot else { return "" }
    let message = String(printable(snapshot.message.utf8).prefix(60))
    return [
      isTag ? "@\(number)" : "", localTime(snapshot.created.seconds, "%Y-%m-%d %H:%M"), message,
    ]
    .filter { !$0.isEmpty }.joined(separator: " ")
  }

  /// Returns the tags of the image in a reference.
  func tags(_ word: String, of reference: String) -> [CompletionCandidate] {
    let name = String(reference.prefix { $0 != "@" && $0 != ":" })
    guard let store, let image = history(name)?.image else { return [] }
    let tags = (try? store.refs.tags(of: image)) ?? [:]
    return tags.sorted { $0.key < $1.key }.filter { $0.key.hasPrefix(word) }
      .map { CompletionCandidate($0.key, summary: "@\($0.value)") }
  }

  /// Returns the snapshot for a reference. Ids are not looked up, because that would read whole histories.
  func snapshot(_ text: String) -> CommittedSnapshot? {
    guard let store, let reference = try? Reference(text),
      let (image, numbers) = history(reference.image)
    else { return nil }
    let number: Int?
    switch reference.selector {
    case .latest, .live: number = numbers.last
    case .number(let asked): number = asked
    case .back(let count): number = numbers.dropLast(count).last
    case .tag(let tag): number = (try? store.refs.tags(of: image))?[tag]
    case .asOf(let time): number = latest(image, numbers, store.refs, notAfter: time)
    case .numberOrID(let text): number = Int(text)
    case .idPrefix: number = nil
    }
    return number.flatMap { try? store.refs.readIfPresent(image, $0) }
  }

  /// Returns the newest snapshot that is not newer than a time, by a binary search: numbers grow with time.
  private func latest(
    _ image: ImageName, _ numbers: [Int], _ refs: RefLog, notAfter time: Int64
  ) -> Int? {
    var (low, high) = (0, numbers.count)
    while low < high {
      let middle = (low + high) / 2
      guard let read = try? refs.readIfPresent(image, numbers[middle]) else { return nil }
      if read.snapshot.created.seconds <= time { low = middle + 1 } else { high = middle }
    }
    return low > 0 ? numbers[low - 1] : nil
  }
}
