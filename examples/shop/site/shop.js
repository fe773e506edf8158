// What the product pages add to their HTML: how many are left, and what goes well with it.
// The pages are complete without this; where an answer is missing, nothing is shown.

const product = document.querySelector("[data-product]");

if (product) {
  showMore(product.dataset.product).catch((error) => console.warn(`no details: ${error.message}`));
}

async function showMore(id) {
  const asked = [json(`/api/products/${id}.json`), json("/api/products.json")];
  const [details, all] = await Promise.all([asked[0].then(showStock), asked[1]]);
  showCompanions(all.products.filter((other) => details.goesWith.includes(other.id)));
}

async function json(url) {
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`${url} answered ${response.status}`);
  }
  return response.json();
}

function showStock(details) {
  const { inStock } = details;
  const stock = document.querySelector("#stock");
  stock.textContent = inStock > 6 ? "In stock, sent tomorrow" : `Only ${inStock} left on the shelf`;
  stock.hidden = false;
  return details;
}

function showCompanions(products) {
  const section = document.querySelector("#goes-with");
  section.querySelector(".cards").append(...products.map(card));
  section.hidden = products.length === 0;
}

function card({ productName, productPic, productPage, price }) {
  const link = element("a", { href: productPage });
  link.append(
    element("img", { src: productPic, alt: "", width: 400, height: 400 }),
    element("span", { className: "name", textContent: productName }),
    " ",
    element("span", { className: "price", textContent: `€${price}` }),
    element("span", { className: "line" }),
  );
  const item = element("li", { className: "card" });
  item.append(link);
  return item;
}

function element(name, properties) {
  return Object.assign(document.createElement(name), properties);
}
