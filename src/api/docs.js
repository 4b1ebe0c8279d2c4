// Shows /openapi.json: each path, what it takes and gives. Text goes in as text, never as HTML.
'use strict';

const resolve = (doc, node) => node && node.$ref
  ? node.$ref.slice(2).split('/').reduce((at, key) => at[key], doc) : node;

const make = (tag, text, ...children) => {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  element.append(...children);
  return element;
};

/// "Device", "array of Upload", "put | get", "string".
function typeName(schema) {
  if (!schema) return '';
  if (schema.$ref) return schema.$ref.split('/').pop();
  if (schema.enum) return schema.enum.map((v) => JSON.stringify(v)).join(' | ');
  if (schema.type === 'array') return 'array of ' + typeName(schema.items);
  if (schema.oneOf || schema.anyOf) return (schema.oneOf || schema.anyOf).map(typeName).join(' or ');
  if (schema.properties) return '{' + Object.keys(schema.properties).join(', ') + '}';
  return [].concat(schema.type || 'any').join(' or ');
}

function fields(doc, schema) {
  const table = make('table');
  const required = new Set(schema.required || []);
  for (const [name, field] of Object.entries(schema.properties || {})) {
    table.append(make('tr', '', make('td', name), make('td', typeName(field)),
      make('td', required.has(name) ? '' : 'optional'),
      make('td', field.description || (resolve(doc, field) || {}).description || '')));
  }
  return table;
}

function showBody(doc, title, content) {
  const out = make('div');
  for (const [type, media] of Object.entries(content || {})) {
    out.append(make('h4', title + ': ' + type + ' ' + typeName(media.schema)));
    const schema = resolve(doc, media.schema);
    if (schema && schema.properties) out.append(fields(doc, schema));
  }
  return out;
}

function showOperation(doc, path, method, item, operation) {
  const out = make('details', '', make('summary', '',
    make('b', method.toUpperCase()), make('code', path), make('span', operation.summary)));
  if (operation.description) out.append(make('p', operation.description));
  const parameters = [...(item.parameters || []), ...(operation.parameters || [])];
  if (parameters.length) {
    const table = make('table');
    for (const p of parameters) {
      table.append(make('tr', '', make('td', p.name), make('td', p.in), make('td', typeName(p.schema)),
        make('td', p.description || '')));
    }
    out.append(make('h4', 'Parameters'), table);
  }
  if (operation.requestBody) out.append(showBody(doc, 'Body', operation.requestBody.content));
  for (const [status, told] of Object.entries(operation.responses)) {
    const response = resolve(doc, told);
    out.append(make('p', status + ': ' + response.description), showBody(doc, 'Answer', response.content));
  }
  return out;
}

function show(doc) {
  const main = document.querySelector('main');
  main.replaceChildren(make('p', doc.info.summary + ' ' + doc.info.description));
  for (const tag of doc.tags) {
    main.append(make('h2', tag.name));
    for (const [path, item] of Object.entries(doc.paths)) {
      for (const [method, operation] of Object.entries(item)) {
        if (operation.tags && operation.tags.includes(tag.name)) {
          main.append(showOperation(doc, path, method, item, operation));
        }
      }
    }
  }
  main.append(make('h2', 'Schemas'));
  for (const [name, schema] of Object.entries(doc.components.schemas)) {
    const one = make('details', '', make('summary', '', make('code', name), make('span', schema.description || typeName(schema))));
    if (schema.properties) one.append(fields(doc, schema));
    main.append(one);
  }
}

fetch('openapi.json').then((answer) => answer.json()).then(show, (e) => {
  document.querySelector('main').textContent = 'openapi.json cannot be read: ' + e.message;
});
