/** First half of the quickstart: the data and the model, where they are missing. */
import { makeData } from './data.js';
import { trainModel } from './train.js';

const orders = await makeData();
console.log(`data:  ${orders.toLocaleString('en')} orders in .quickstart/data/orders`);
const area = await trainModel();
const quality = area === undefined ? '' : ` (area under the ROC curve ${area.toFixed(3)})`;
console.log(`model: .quickstart/models/churn.onnx${quality}`);
