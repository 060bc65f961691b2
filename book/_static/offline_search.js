// Pages that are opened from a folder may not fetch each other. The search fetches the pages that
// it found for their excerpts, so it is given the texts from page_texts.js here.
if (location.protocol === "file:") {
  const root = new URL(document.documentElement.dataset.content_root, location.href).href;
  const loaded = new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${root}_static/page_texts.js`;
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
  window.fetch = async (address) => {
    await loaded;
    const page = new URL(address, location.href).href.slice(root.length);
    return new Response(window.pageTexts[decodeURI(page).replace(/\.html.*$/, "")] ?? "");
  };
}
