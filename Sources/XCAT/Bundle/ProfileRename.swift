// Changes the profile of a bundle (`imgimport -f`, docs/xcat-contract.md#profile-rename), without
// xCAT's defects: the old profile's name is text, not a pattern; every platform has a directory. Boot
// files also move if rootimgdir is unset, so that the source image is never overwritten.

import Platform
import Store

/// Renames a manifest's profile.
public enum ProfileRename {
  /// Returns the manifest under the profile `new`; unchanged if that is its profile.
  /// - Throws: `XCATError`: the profile cannot be part of a path.
  public static func apply(
    _ manifest: Manifest, to new: String, installDirectory: AbsolutePath
  ) throws(XCATError) -> Manifest {
    let old = manifest.profile
    guard new != old else { return manifest }
    guard !new.isEmpty, !new.contains("/"), new != ".", new != ".." else {
      throw XCATError("profile '\(new)'", "cannot be part of a path")
    }
    var changed = manifest
    let version = manifest.osVersion
    let architecture = manifest.architecture
    let method = manifest.provisioning
    changed.setProfile(new)
    let family =
      architecture == "s390x" && [.raw, .sysclone].contains(method)
      ? method : ProvisioningMethod.netboot
    let directory = installDirectory.text + "/\(family.text)/\(version)/\(architecture)/\(new)"
    if manifest.rootImageDirectory != nil { changed.setRootImageDirectory(directory) }
    for key in Manifest.pathKeys {
      if let path = manifest.values[key] { changed.values[key] = directory + "/" + baseName(path) }
    }
    // The stateless tree of a complete bundle moves with the boot files.
    for i in changed.closure.indices where changed.closure[i].isTree {
      changed.closure[i].path = directory + "/" + baseName(changed.closure[i].path)
    }
    let custom =
      installDirectory.text + "/custom/\(method == .install ? "install" : "netboot")/"
      + platform(version)
    for attribute in FileAttribute.lists.map(\.rawValue) {
      func rename(_ list: String) -> String {
        list.split(separator: ",").map { item in
          let parts = item.split(separator: " ", maxSplits: 1)
          let path = String(parts.first ?? "")
          let renamed = renamedPath(path, old: old, new: new, custom: custom)
          return parts.count > 1 ? "\(renamed) \(parts[1])" : renamed
        }.joined(separator: ",")
      }
      if let list = manifest.osimage[attribute] { changed.osimage[attribute] = rename(list) }
      if let list = manifest.linuximage[attribute] { changed.linuximage[attribute] = rename(list) }
    }
    changed.setImageName("\(version)-\(architecture)-\(method.text)-\(new)")
    return changed
  }

  private static func renamedPath(
    _ path: String, old: String, new: String, custom: String
  ) -> String {
    let name = baseName(path)
    var directory = String(path.dropLast(name.count + 1))
    if directory.hasPrefix("/opt/xcat/share/xcat") { directory = custom }
    let renamed: String
    if !old.isEmpty, let at = firstWord(old, in: name) {
      renamed = name.replacingSubrange(at, with: new)
    } else {
      renamed = "\(new).\(name)"
    }
    return "\(directory)/\(renamed)"
  }

  /// Returns the directory under custom/ of an operating system.
  static func platform(_ version: String) -> String {
    let known = [
      ("rh", "rh"), ("centos", "centos"), ("alma", "alma"), ("rocky", "rocky"),
      ("fedora", "fedora"), ("sles", "sles"), ("SL", "SL"), ("win", "windows"),
      ("ubunt", "ubuntu"), ("debian", "debian"), ("leap", "suse"), ("suse", "suse"),
      ("sle", "sles"), ("openEuler", "openeuler"), ("ol", "ol"),
    ]
    if let (_, directory) = known.first(where: { version.contains($0.0) }) { return directory }
    let letters = version.prefix { $0.isLetter }
    return letters.isEmpty ? "other" : String(letters)
  }

  static func baseName(_ path: String) -> String {
    String(path.split(separator: "/", omittingEmptySubsequences: false).last ?? "")
  }

  /// Returns the first occurrence of `word` that no letter or digit touches.
  private static func firstWord(_ word: String, in text: String) -> Range<String.Index>? {
    func isPart(_ character: Character) -> Bool { character.isLetter || character.isNumber }
    var start = text.startIndex
    while start < text.endIndex {
      if text[start...].hasPrefix(word) {
        let end = text.index(start, offsetBy: word.count)
        let touchesBefore = start > text.startIndex && isPart(text[text.index(before: start)])
        let touchesAfter = end < text.endIndex && isPart(text[end])
        if !touchesBefore, !touchesAfter { return start..<end }
      }
      start = text.index(after: start)
    }
    return nil
  }
}

extension String {
  fileprivate func replacingSubrange(_ range: Range<Index>, with text: String) -> String {
    String(self[..<range.lowerBound]) + text + String(self[range.upperBound...])
  }
}
