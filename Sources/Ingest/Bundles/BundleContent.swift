// The contents of a bundle, and their grouping into images: one directory per image, or a single
// image if the manifest is at the top, as in xCAT's documentation.

import Archive

/// The contents of a bundle, by full names.
struct BundleContent {
  var entries: [String: BundleEntry] = [:]
  /// The manifests, by their directory.
  var manifests: [String: [UInt8]] = [:]
  var litefiles: [String: [UInt8]] = [:]
  var manifestMembers: [String: TarMember] = [:]
  /// The signature files, by the image's directory, then by file name.
  var signatures: [String: [String: [UInt8]]] = [:]
  /// The attributes that were dropped from members, with their number of occurrences.
  var losses: [String: Int] = [:]

  /// Groups the contents into images after the whole bundle was read.
  func images() throws(BundleError) -> [BundledImage] {
    guard !manifests.isEmpty else {
      throw BundleError(
        whole: "Failed to find manifest.xml file in image bundle",
        hint: "Check that the file is one that 'imgstore export' or xCAT's imgexport wrote",
        form: .clause)
    }
    guard manifests.count == 1 || manifests[""] == nil else {
      throw BundleError(
        whole: "has a manifest.xml at the top and another in a directory",
        hint: BundleError.distrust)
    }
    for name in entries.keys {
      var above = name
      while let cut = above.utf8.lastIndex(of: UInt8(ascii: "/")) {
        above = String(above[..<cut])
        guard let parent = entries[above] else { continue }
        guard case .directory = parent.content else {
          throw BundleError(
            "member \(name)", "lies below \(above), which is not a directory",
            hint: BundleError.distrust)
        }
      }
    }
    var grouped: [String: [String: BundleEntry]] = manifests.mapValues { _ in [:] }
    var remarks = losses.sorted { $0.key < $1.key }.map { "\($0.key) (\($0.value)): left out" }
    for (name, entry) in entries.sorted(by: { $0.key < $1.key }) {
      if manifests[""] != nil {
        grouped["", default: [:]][name] = entry
        continue
      }
      let directory = String(decoding: name.utf8.prefix { $0 != UInt8(ascii: "/") }, as: UTF8.self)
      if grouped[directory] == nil, directory.hasPrefix(".") {
        // Files that desktops create next to the images (.DS_Store, ._NAME). xCAT ignores them, too.
        remarks.append("the bundle's \(name) is in no image's directory and was skipped")
        continue
      }
      guard grouped[directory] != nil else {
        throw BundleError(
          "member \(name)", "is in no image's directory: it has no manifest.xml next to it",
          hint: "Nothing was imported; export the image again where it came from")
      }
      if name.utf8.count > directory.utf8.count {
        let inside = String(decoding: name.utf8.dropFirst(directory.utf8.count + 1), as: UTF8.self)
        grouped[directory, default: [:]][inside] = entry
      }
    }
    return manifests.sorted { $0.key < $1.key }.enumerated().map { index, image in
      BundledImage(
        directory: image.key, manifest: image.value, litefile: litefiles[image.key],
        entries: grouped[image.key] ?? [:], remarks: index == 0 ? remarks : [],
        manifestMember: manifestMembers[image.key], signatures: signatures[image.key] ?? [:])
    }
  }
}
